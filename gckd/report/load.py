"""What is compared with each other: the runs of one output folder, or of several that fit together."""

from __future__ import annotations

import dataclasses
import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from gckd.config import Config, digest, encode, read_config
from gckd.config.serialization import differences
from gckd.errors import InputError
from gckd.report.comparability import CODE, Mixture, mixtures
from gckd.report.queries import PerRun, read_queries
from gckd.report.summary import METRICS, Record, RowSummary, summarise

if TYPE_CHECKING:
    from pathlib import Path
import pyarrow.parquet as pq

from gckd.errors import reason_of

ASKED_FILE = "asked.json"
_ITS_OWN = (("seed",), ("data", "source"), ("data", "target"))  # what tables of one full config may differ in


@dataclass(frozen=True)
class Block:
    """Runs around one full config on one pair of datasets: never averaged with those of another block."""

    folders: tuple[Path, ...]
    config: Config  # of the full row
    records: Sequence[Record]
    curves: Sequence[Mapping[str, Any]]
    queries: PerRun
    asked: Sequence[Mapping[str, Any]]  # of each folder: question, and dropped, as `keep_asked` takes them
    name: str = ""  # where there are several

    @property
    def datasets(self) -> str:
        return "; ".join(sorted({f"{r['source']} → {r['target']}" for r in self.records}))

    @property
    def mixtures(self) -> list[Mixture]:
        return mixtures(self.records, self.config)

    def summaries(self) -> list[RowSummary]:
        marked = frozenset[str]().union(*(mixture.marked for mixture in self.mixtures))
        rows = summarise(self.records, self.queries)
        return [dataclasses.replace(row, marked=row.row in marked, block=self.name) for row in rows]


def read_block(folder: Path) -> Block:
    """The runs of an output folder.

    Raises:
        InputError: it has no run records or no config.yaml, or one of its files cannot be read.
    """
    records = read_parquet(folder / "runs.parquet")
    if not records:
        raise InputError(f"{folder}: runs.parquet has no rows; at least 1 run is needed")
    config, curves = read_config(folder / "config.yaml"), read_parquet(folder / "curves.parquet")
    file = folder / ASKED_FILE
    asked = [json.loads(file.read_text(encoding="utf-8"))] if file.exists() else []
    return Block((folder,), config, records, curves, read_queries(folder, records), asked)


def join(found: Sequence[Block], *, mixed: bool) -> list[Block]:
    """Those of one full config and the same datasets as one block, and each block with its name if there are several.

    Args:
        mixed: whether a run that came out otherwise in a later folder is left out, not refused.

    Raises:
        InputError: folders to be joined do not agree on what a row is, or on what a run came to.
    """
    groups: dict[tuple[str, ...], list[Block]] = {}
    for block in found:
        groups.setdefault((digest(_comparable(block.config)), *_datasets_of(block)), []).append(block)
    joined = [_joined(group, mixed=mixed) for group in groups.values()]
    return joined if len(joined) == 1 else _named(joined)


def unlike(blocks: Sequence[Block]) -> list[str]:
    """What the runs of a table do not have in common but should, one line each."""
    lines = [f"{b.name}: {mixture}" if b.name else str(mixture) for b in blocks for mixture in b.mixtures]
    if len(blocks) > 1:
        codes = [{**r, "row": b.name, "edits": "{}"} for b in blocks for r in b.records]
        lines += [str(mixture) for mixture in mixtures(codes, blocks[0].config) if mixture.what == CODE]
    first = _comparable(blocks[0].config)
    for block in blocks[1:]:
        changed = differences(first, _comparable(block.config))
        lines += [f"full config: {block.name} has {', '.join(changed)}"] if changed else []
    return lines


def _comparable(config: Config) -> dict[str, Any]:
    plain: dict[str, Any] = encode(config)
    for *outer, name in _ITS_OWN:
        node = plain
        for key in outer:
            node = node[key]
        del node[name]
    return plain


def _datasets_of(block: Block) -> tuple[str, ...]:
    """By their content; a folder without a finished run has only their names."""
    done = next((r for r in block.records if r["status"] == "done"), None)
    return (str(done.get("source_digest")), str(done.get("target_digest"))) if done else (block.datasets,)


def _joined(group: Sequence[Block], *, mixed: bool) -> Block:
    """Each run once: from the first folder where it finished."""
    first, *others = group
    kept = {(r["row"], r["seed"]): r for r in first.records}
    curves, queries = list(first.curves), dict(first.queries)
    for other in others:
        new = {}
        for record in other.records:
            key = record["row"], record["seed"]
            _check_same(record, kept, other, mixed=mixed)
            if key not in kept or (kept[key]["status"], record["status"]) == ("failed", "done"):
                new[key] = record
        kept |= new
        curves += [point for point in other.curves if (point["row"], point["seed"]) in new]
        queries |= {key: value for key, value in other.queries.items() if key in new}
    return Block(
        tuple(folder for block in group for folder in block.folders),
        first.config,
        list(kept.values()),
        curves,
        queries,
        [asked for block in group for asked in block.asked],
    )


def _check_same(record: Record, kept: Mapping[tuple[str, int], Record], where: Block, *, mixed: bool) -> None:
    """Refuses a row that is another one in an earlier folder, and a run that came out otherwise there."""
    row, seed, folder = record["row"], record["seed"], where.folders[0]
    edits = next((r["edits"] for r in kept.values() if r["row"] == row), record["edits"])
    if edits != record["edits"]:
        raise InputError(f"{folder}: its row {row} has the edits {record['edits']}, an earlier folder's {edits}")
    twin = kept.get((row, seed), record)
    numbers = [[r[name] for name in METRICS] for r in (twin, record) if r["status"] == "done"]
    if len(numbers) == 2 and numbers[0] != numbers[1] and not mixed:
        raise InputError(
            f"{folder}: row {row}, seed {seed} has Rank-1 {record['rank_1']:.2f}, an earlier folder's "
            f"{twin['rank_1']:.2f}; --mixed takes the earlier folder's"
        )


def _named(found: Sequence[Block]) -> list[Block]:
    """By their datasets; also by their folders where that does not tell them apart."""
    names = [block.datasets for block in found]
    return [
        dataclasses.replace(block, name=name if names.count(name) == 1 else f"{name} ({_folders(block)})")
        for block, name in zip(found, names, strict=True)
    ]


def _folders(block: Block) -> str:
    return ", ".join(map(str, block.folders))


def read_parquet(path: Path) -> list[dict[str, Any]]:
    """The rows of a record file.

    Raises:
        InputError: it is missing, or no such file.
    """
    if not path.is_file():
        raise InputError(f"{path}: there is no such file; {path.parent} is no output of a run or table")
    try:
        rows: list[dict[str, Any]] = pq.read_table(path).to_pylist()
    except (OSError, ValueError) as error:
        raise InputError(f"{path}: cannot be read as run records ({reason_of(error)})") from error
    return rows
