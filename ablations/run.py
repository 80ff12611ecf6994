"""Component table from a checkout; the same command as `gckd ablate`.

python ablations/run.py --drop gmp --drop gmp,cmkd --seeds 5
python ablations/run.py --spec table4
"""

import sys
from pathlib import Path

sys.path.insert(0, str(Path(__file__).resolve().parents[1]))  # this checkout before an installed copy

from gckd.cli.ablate import ablate
from gckd.cli.guard import run_command

if __name__ == "__main__":
    run_command(ablate)
