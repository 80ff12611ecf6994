"""Example queries for a table's report, with the top-ranked images of several rows.

Hits are marked by the target's test labels, after all runs have been evaluated.
"""

from __future__ import annotations

import json
from typing import TYPE_CHECKING, Any

import numpy as np
import pyarrow as pa
from numpy.typing import NDArray

from gckd.data.images import thumbnail
from gckd.storage import atomic
from gckd.storage.examples_table import ABOUT, EXAMPLES, EXAMPLES_FILE
from gckd.storage.parquet_file import write_parquet
from gckd.storage.run_tables import QUERIES_FILE, read_queries_table

if TYPE_CHECKING:
    from collections.abc import Sequence

    from gckd.data.splits import LabelledSplit
    from gckd.data.store import Store
    from gckd.runs.plan import Run
    from gckd.runs.records import Records

RANDOM, EACH = 4, 2  # queries drawn from all; queries of each kind on which the full and the next row disagree
OTHERS = 4  # rows shown beside the full row
_WIDTH, _HEIGHT = 96, 192  # largest size of a thumbnail in pixels
_SEED = 0  # of the random draw
Hits = NDArray[np.bool_]


def write_examples(runs: Sequence[Run], records: Records, target: Store) -> None:
    """Write examples.parquet beside the records: test queries of the first seed, in the full and the next rows.

    The queries are drawn at random: `RANDOM` from all, up to `EACH` from those whose top image is a hit in the full row
    and not in the next row, and up to `EACH` from those of the reverse case.

    Args:
        runs: runs of the table, the full row first. Runs that have not finished, or that have another target, are
            skipped. Without a run of the full row no file is written, and an old one is removed.
    """
    digests = {r["config_digest"]: r.get("target_digest") for r in records.runs}
    seed = runs[0].seed
    tables = {
        run.row: read_queries_table(run.folder / QUERIES_FILE)
        for run in runs
        if run.seed == seed and records.finished(run) and digests[run.digest] == target.digest
    }
    file = records.folder / EXAMPLES_FILE
    if runs[0].row not in tables:
        file.unlink(missing_ok=True)
        return
    shown = {row: tables[row] for row in list(tables)[: 1 + OTHERS]}
    against = list(shown)[1] if len(shown) > 1 else ""
    hits = [shown[row]["rank"].to_numpy() == 1 for row in (runs[0].row, against) if row]
    drawn, counts = draw(hits[0], hits[-1])
    about = {"seed": seed, "against": against, "random": RANDOM, "each": EACH, **counts}
    split = target.labelled("test")
    kinds = {
        "random": "drawn from all",
        "better": f"full right, {against} wrong",
        "worse": f"full wrong, {against} right",
    }
    lines = [
        {"kind": kinds[kind], "row": row, **_answer(table.slice(query, 1).to_pylist()[0], split)}
        for query, kind in drawn
        for row, table in shown.items()
    ]
    schema = EXAMPLES.with_metadata({ABOUT: json.dumps(about)})
    with atomic.writing(file) as partial:
        write_parquet(pa.Table.from_pylist(lines, schema=schema), partial)


def draw(full: Hits, other: Hits) -> tuple[list[tuple[int, str]], dict[str, int]]:
    """Draw the queries to show.

    Args:
        full, other: [M], whether the top image is a hit in the full row and in the next row.

    Returns:
        (query, kind) pairs with kind `random`, `better` or `worse`, and the number of queries of each kind.
    """
    order = np.random.default_rng(_SEED).permutation(len(full))
    masks = {"better": full & ~other, "worse": ~full & other}
    first, rest = order[:RANDOM], order[RANDOM:]
    chosen = {"random": first} | {kind: rest[mask[rest]][:EACH] for kind, mask in masks.items()}
    drawn = [(int(query), kind) for kind, queries in chosen.items() for query in queries]
    return drawn, {"queries": len(full)} | {kind: int(mask.sum()) for kind, mask in masks.items()}


def _answer(line: dict[str, Any], split: LabelledSplit) -> dict[str, Any]:
    """The columns of examples.parquet that come from one row of a queries.parquet."""
    query, top = line["query"], line["top"]
    return {
        "query": query,
        "caption": split.captions[query],
        "rank": line["rank"],
        "ap": line["ap"],
        "images": [thumbnail(split.images.encoded(row), _WIDTH, _HEIGHT) for row in top],
        "hits": (split.image_identities[top] == split.caption_identities[query]).tolist(),
    }
