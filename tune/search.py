"""Hyperparameter search from a checkout; the same command as `gckd tune`.

python tune/search.py --trials 32
"""

import sys
from pathlib import Path

sys.path.insert(0, str(Path(__file__).resolve().parents[1]))  # this checkout before an installed copy

from gckd.cli.guard import run_command
from gckd.cli.tune import search

if __name__ == "__main__":
    run_command(search)
