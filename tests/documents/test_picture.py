"""The picture of README.md: made by its command from the files of a table, small, and with its images."""

from __future__ import annotations

import io
from pathlib import Path

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
from click.testing import CliRunner
from PIL import Image

from benchmarks.picture import main
from tests.documents.blocks import ROOT

TABLE = "row,runs,rank_1,rank_1_half_width,map,map_half_width\nfull,3,60,2,50,1\n-gmp,3,55,,45,\n"
HIT = (26, 143, 60)


def jpeg(colour: str) -> bytes:
    content = io.BytesIO()
    Image.new("RGB", (64, 128), colour).save(content, "JPEG")
    return content.getvalue()


def test_hits_have_a_green_frame(tmp_path: Path) -> None:
    (tmp_path / "table.csv").write_text(TABLE)
    line = {"query": 7, "caption": "a man", "images": [jpeg("blue"), jpeg("red")]}
    lines = [line | {"row": "full", "hits": [True, False]}, line | {"row": "-gmp", "hits": [False, False]}]
    pq.write_table(pa.Table.from_pylist([*lines, line | {"query": 8, "row": "full"}]), tmp_path / "examples.parquet")
    output = tmp_path / "table.png"
    result = CliRunner().invoke(main, [str(tmp_path), str(output)], catch_exceptions=False)
    assert result.exit_code == 0
    with Image.open(output) as picture:
        pixels = np.asarray(picture.convert("RGB"), dtype=int)

    def count(colour: tuple[int, int, int]) -> int:
        return int((np.abs(pixels - colour) < 30).all(axis=2).sum())

    assert count((0, 0, 255)) > 1000 and count((255, 0, 0)) > 1000
    assert 200 < count(HIT) < count((0, 0, 255))


def test_the_picture_of_the_readme_is_small() -> None:
    assert (ROOT / "docs" / "images" / "table.png").stat().st_size < 120_000
