"""`ablations/run.py` with fake runs, as a script that tests start as a process."""

from gckd.cli.ablate import ablate
from gckd.cli.guard import run_command
from gckd.cluster.tasks import RunFunctions

if __name__ == "__main__":
    run_command(ablate, obj=RunFunctions(*(f"tests.runs.fakes:{name}" for name in ("prepare", "run", "score"))))
