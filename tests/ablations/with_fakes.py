"""`ablations/run.py` with fake runs, as a script that tests start as a process of its own."""

from gckd.cli.ablate import table
from gckd.cli.guard import run_command
from gckd.cluster.tasks import RunFunctions

if __name__ == "__main__":
    run_command(table, obj=RunFunctions("tests.runs.fakes:prepare", "tests.runs.fakes:run"))
