"""Names of rows as a paper writes them."""

from __future__ import annotations

import re

from gckd.report.reference_rows import SOURCE_MODEL, SUPERVISED
from gckd.report.summary import FULL

_ROWS = {FULL: "Full", SOURCE_MODEL: "Source model", SUPERVISED: "Supervised", "baseline": "Baseline"}
# Name of a component in the label of a row -> in a paper.
_COMPONENTS = {
    "cd-itm": "CD-ITM",
    "cmkd": "CMKD",
    "ema": "EMA",
    "gmp": "GMP",
    "mlm": "MLM",
    "hard-negatives": "hard negatives",
    "soft-targets": "soft targets",
    "source-memory": "source memory",
    "target-memory": "target memory",
    "warm-start": "warm start",
}
_PART = re.compile(rf"([+-])({'|'.join(map(re.escape, sorted(_COMPONENTS, key=len, reverse=True)))}|[\w.]+)(?=[+-]|$)")


def paper_name(row: str) -> str:
    """`w/o GMP, CMKD` for `-gmp-cmkd`, `Baseline + GMP` for `+gmp`, `Full` for `full`; other names as they are."""
    if row in _ROWS:
        return _ROWS[row]
    parts = _PART.findall(row)
    signs = {sign for sign, _ in parts}
    if "".join(sign + name for sign, name in parts) != row or len(signs) != 1:
        return row
    names = [_COMPONENTS.get(name, name) for _, name in parts]
    return f"w/o {', '.join(names)}" if signs == {"-"} else f"Baseline + {' + '.join(names)}"
