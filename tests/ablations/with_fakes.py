"""`ablations/run.py` with fake runs, as a script that tests start as a process of its own."""

from ablations.run import table
from gckd.cli.guard import run_command
from gckd.dist.tasks import Entry

if __name__ == "__main__":
    run_command(table, obj=Entry("tests.dist.fakes:prepare", "tests.dist.fakes:run"))
