"""Example queries of a table: the random draw, and the content of the file."""

from __future__ import annotations

import io
import json
from pathlib import Path

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
from PIL import Image

from gckd.config import preset
from gckd.data.annotations import read_annotations
from gckd.data.store_builder import build_store
from gckd.runs.examples import EACH, RANDOM, draw, write_examples
from gckd.runs.plan import plan
from gckd.runs.records import Records
from tests.report.records import failed, record
from tests.toy import make_toy


def test_the_draw_has_each_kind_and_counts_it() -> None:
    full, other = (np.random.default_rng(seed).random(200) < 0.6 for seed in (1, 2))
    drawn, counts = draw(full, other)
    assert counts == {"queries": 200, "better": sum(full & ~other), "worse": sum(other & ~full)}
    assert [kind for _, kind in drawn] == ["random"] * RANDOM + ["better"] * EACH + ["worse"] * EACH
    assert len({query for query, _ in drawn}) == len(drawn)
    hits = {"better": (True, False), "worse": (False, True)}
    assert all((full[query], other[query]) == hits[kind] for query, kind in drawn if kind in hits)
    assert draw(full, other) == (drawn, counts)


def test_random_queries_do_not_depend_on_results() -> None:
    size = 500
    all_hit, none_hit = np.ones(size, bool), np.zeros(size, bool)
    first = [query for query, kind in draw(all_hit, all_hit)[0] if kind == "random"]
    assert draw(none_hit, none_hit)[0] == [(query, "random") for query in first]
    assert [query for query, _ in draw(all_hit, none_hit)[0]][:RANDOM] == first


def test_a_short_split_has_fewer_queries() -> None:
    assert len(draw(np.ones(3, bool), np.zeros(3, bool))[0]) == 3


def test_the_file_agrees_with_the_dataset(tmp_path: Path) -> None:
    target = build_store(read_annotations(str(make_toy(tmp_path / "toy"))), tmp_path / "cache")
    split, out = target.labelled("test"), tmp_path / "out"
    runs = plan(preset("tiny"), {"-gmp": {"graph.propagate": "none"}, "-mlm": {"weights.source_mlm": 0.0}}, 2, out)
    records = Records(out)
    captions, gallery = len(split.captions), len(split.images)
    for run in runs:
        if run.row == "-mlm":
            records.add(failed(run.row, run.seed) | {"config_digest": run.digest})
            continue
        records.add(record(run.row, run.seed, 50, config_digest=run.digest, target_digest=target.digest))
        run.folder.mkdir(parents=True)
        lines = [
            {
                "query": query,
                "identity": query,
                "rank": 1 + (query + (run.row == "full")) % 2,
                "ap": 0.25,
                "top": [(query + place) % gallery for place in range(4)],
            }
            for query in range(captions)
        ]
        pq.write_table(pa.Table.from_pylist(lines), run.folder / "queries.parquet")
    write_examples(runs, records, target)
    table = pq.read_table(out / "examples.parquet")
    about = json.loads(table.schema.metadata[b"about"])
    # Ranks alternate between 1 and 2, reversed in -gmp: every query is of one of the two kinds.
    assert about == {"seed": 0, "against": "-gmp", "random": 4, "each": 2, "queries": 8, "better": 4, "worse": 4}
    shown = table.to_pylist()
    assert [line["row"] for line in shown] == ["full", "-gmp"] * (len(shown) // 2)
    pairs = dict(zip(split.captions, split.caption_image, strict=True))
    for line in shown:
        identity = split.image_identities[pairs[line["caption"]]]
        top = [(line["query"] + place) % gallery for place in range(4)]
        assert line["hits"] == [bool(split.image_identities[row] == identity) for row in top]
        for row, small in zip(top, line["images"], strict=True):
            with (
                Image.open(io.BytesIO(small)) as thumbnail,
                Image.open(io.BytesIO(split.images.encoded(row))) as original,
            ):
                assert (thumbnail.format, thumbnail.size) == ("JPEG", original.size)
                assert (
                    np.abs(np.subtract(thumbnail.getpixel((4, 8)), original.convert("RGB").getpixel((4, 8)))).max() < 8
                )

    write_examples(runs[2:], records, target)  # without the full row
    assert pq.read_table(out / "examples.parquet")["row"].unique().to_pylist() == ["-gmp"]
    for line in records.runs:
        line["target_digest"] = "of another target"
    write_examples(runs, records, target)
    assert not (out / "examples.parquet").exists()
