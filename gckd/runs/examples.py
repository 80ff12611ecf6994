"""Queries with the images that rows of a table rank first, kept for its report. Reads the target's test labels, after
the runs that were evaluated by them.
"""

from __future__ import annotations

import json
from typing import TYPE_CHECKING, Any

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
from numpy.typing import NDArray

from gckd.data.images import thumbnail

if TYPE_CHECKING:
    from collections.abc import Sequence

    from gckd.data.splits import LabelledSplit
    from gckd.data.store import Store
    from gckd.runs.plan import Run
    from gckd.runs.records import Records

EXAMPLES_FILE = "examples.parquet"
RANDOM, EACH = 4, 2  # queries drawn from all; of each kind on which full and the next row disagree
OTHERS = 4  # rows beside the full one
_WIDTH, _HEIGHT = 96, 192  # pixels of an image, at most
_SEED = 0  # of the draw
_SCHEMA = pa.schema(
    [
        ("query", pa.int32()),  # row of the caption in its split
        ("caption", pa.string()),
        ("kind", pa.string()),  # why it was taken
        ("row", pa.string()),
        ("rank", pa.int32()),  # of the first hit, from 1
        ("ap", pa.float32()),  # in [0, 1]
        ("images", pa.list_(pa.binary())),  # JPEG, the best first
        ("hits", pa.list_(pa.bool_())),
    ]
)
Hits = NDArray[np.bool_]


def write_examples(runs: Sequence[Run], records: Records, target: Store) -> None:
    """Writes examples.parquet beside the records: some test queries of the first seed in full and the next rows.

    Nobody chooses them: `RANDOM` are drawn from all queries, then up to `EACH` from those whose first image is a hit
    in full and not in the first other row, and from those of which the reverse is true.

    Args:
        runs: of the table, the full row's first. Those that have not finished on this very target are left out; there
            is no file where that is a run of the full row.
    """
    digests = {r["config_digest"]: r.get("target_digest") for r in records.runs}
    seed = runs[0].seed
    known = {
        run.row: pq.read_table(run.folder / "queries.parquet")
        for run in runs
        if run.seed == seed and records.finished(run) and digests[run.digest] == target.digest
    }
    file = records.folder / EXAMPLES_FILE
    if runs[0].row not in known:
        file.unlink(missing_ok=True)
        return
    shown = {row: known[row] for row in list(known)[: 1 + OTHERS]}
    against = list(shown)[1] if len(shown) > 1 else ""
    first = [shown[row]["rank"].to_numpy() == 1 for row in (runs[0].row, against) if row]
    drawn, counts = draw(first[0], first[-1])
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
    schema = _SCHEMA.with_metadata({"about": json.dumps(about)})
    pq.write_table(pa.Table.from_pylist(lines, schema=schema), file)


def draw(full: Hits, other: Hits) -> tuple[list[tuple[int, str]], dict[str, int]]:
    """The queries to show, each with its kind (`random`, `better`, `worse`), and of how many they were drawn.

    Args:
        full, other: [M], whether the first image is a hit in full and in the row beside it.
    """
    order = np.random.default_rng(_SEED).permutation(len(full))
    differ = {"better": full & ~other, "worse": ~full & other}
    taken = {"random": order[:RANDOM]} | {
        kind: order[RANDOM:][of[order[RANDOM:]]][:EACH] for kind, of in differ.items()
    }
    drawn = [(int(query), kind) for kind, queries in taken.items() for query in queries]
    return drawn, {"queries": len(full)} | {kind: int(of.sum()) for kind, of in differ.items()}


def _answer(line: dict[str, Any], split: LabelledSplit) -> dict[str, Any]:
    """What is shown of one row of a queries.parquet."""
    query, top = line["query"], line["top"]
    return {
        "query": query,
        "caption": split.captions[query],
        "rank": line["rank"],
        "ap": line["ap"],
        "images": [thumbnail(split.images.encoded(row), _WIDTH, _HEIGHT) for row in top],
        "hits": (split.image_identities[top] == split.caption_identities[query]).tolist(),
    }
