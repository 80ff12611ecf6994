"""What a table must say beside its numbers."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING, Any

from gckd.report.load import Block, unlike
from gckd.report.summary import FULL, RowSummary

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from gckd.config import Config

PROPAGATED = "each test item propagated by itself on the graph over the run's banks"

# Edits below these train another source model.
_SOURCE = ("backbone", "tokenizer", "data", "augment", "pretrain", "centre", "weights.source")


def captions(blocks: Sequence[Block], rows: Sequence[RowSummary]) -> list[str]:
    """What is said of every block once, and what of some behind their names; the questions of the specs first.

    Args:
        rows: of all blocks.
    """
    own = {b.name: caption(b.records, [r for r in rows if r.block == b.name], b.config) for b in blocks}
    lines = dict.fromkeys(asked["question"] for b in blocks for asked in b.asked if asked.get("question"))
    for name, said in own.items():
        for line in said:
            everywhere = all(line in others for others in own.values())
            lines[line if everywhere or line == said[0] else f"{name}: {line}"] = None
    marked = any(row.marked for row in rows)
    marks = ["† marks a row that is not as the full method in something of the following."] if marked else []
    return [*lines, *marks, *(f"NOT ALIKE in {line}." for line in unlike(blocks))]


def caption(records: Sequence[Mapping[str, Any]], rows: Sequence[RowSummary], config: Config) -> list[str]:
    """One sentence or two a line: datasets, equality of the rows, selection, inference, intervals, notes.

    Args:
        records: of the whole table.
        rows: their summaries.
        config: of the full row.
    """
    lines = [_datasets(records), _equality(records, rows, config)]
    lines.append(
        "Checkpoint: that of the last step, nothing is selected. The labels of the target's test split are read "
        "once, at the end of a run."
    )
    lines.append(_inference(config, records))
    lines.append("The presets' hyperparameters were chosen with target labels of generated datasets (LOG.md).")
    lines.append("± is the 95 % interval of the mean over seeds (Student's t; n/a with one seed).")
    if any(row.row != FULL for row in rows):
        lines.append("Δ is full - row, paired seed by seed: positive where the full method is better.")
    if any(row.p for row in rows):
        lines.append("p: paired t test over seeds that full and row are alike, after Holm over the rows of this table.")
    if any(row.published is not None for row in rows):
        lines.append("The published Rank-1 is the paper's own (arXiv 2501.15052), full size and pretrained weights.")
    return lines + _notes(records)


def _datasets(records: Sequence[Mapping[str, Any]]) -> str:
    names = sorted({f"{r['source']} (labelled) → {r['target']} (unlabelled)" for r in records})
    sizes = sorted({(r["queries"], r["gallery"]) for r in records if r["status"] == "done"})
    counts = " or ".join(f"{queries} queries, {gallery} gallery images" for queries, gallery in sizes)
    return f"{'; '.join(names)}. Target test split: {counts or 'not reached'}. All values in percent."


def _equality(records: Sequence[Mapping[str, Any]], rows: Sequence[RowSummary], config: Config) -> str:
    finished = [row.seeds for row in rows if row.seeds]
    seeds = sorted({seed for own in finished for seed in own})
    alike = all(own == finished[0] for own in finished)
    every = "Every row but those marked †" if any(row.marked for row in rows) else "Every row"
    edits = {r["row"]: json.loads(r.get("edits") or "{}") for r in records}
    still = [row.label for row in rows if edits.get(row.row, {}).get("adapt.steps") == 0]
    other = [row.label for row in rows if any(path.startswith(_SOURCE) for path in edits.get(row.row, ()))]
    return (
        f"Seeds {', '.join(map(str, seeds)) or 'none'}"
        f"{'' if alike else '; not every row has each, and a difference is over those that both have'}. "
        f"{every}: {'the same seeds, ' if alike else ''}the same batches ({config.adapt.batch} pairs a domain and "
        f"step), {config.adapt.steps} adaptation steps from the same source model ({config.pretrain.steps} steps of "
        f"{config.pretrain.batch} pairs){f', but {_listed(other)} from one of its own' if other else ''}."
        f"{f' {_listed(still)}: the source model as it is, not adapted.' if still else ''}"
    )


def _listed(names: Sequence[str]) -> str:
    return names[0] if len(names) == 1 else f"{', '.join(names[:-1])} and {names[-1]} each"


def _inference(config: Config, records: Sequence[Mapping[str, Any]]) -> str:
    centred = "centred by the target-train mean" if config.centre else "not centred"
    top = config.evaluate.k_test
    ranked = f"the top {top} re-ranked by the matching head" if top else "no re-ranking"
    words = [f"embeddings {centred}", *[PROPAGATED] * config.evaluate.propagate, ranked]
    apart = _other_inference(records)
    but = f" but {', '.join(apart)}" if apart else ""
    return f"Inference, alike in every row{but}: {', '.join(words)}."


def _other_inference(records: Sequence[Mapping[str, Any]]) -> list[str]:
    """The rows that are evaluated in another way than the full one, and how."""
    found: dict[str, str] = {}
    for r in records:
        edits = json.loads(r.get("edits") or "{}").items()
        own = [f"{path} = {json.dumps(value)}" for path, value in edits if path.split(".")[0] in ("centre", "evaluate")]
        if own:
            found[r["row"]] = f"{r['row']} ({', '.join(own)})"
    return list(found.values())


def _notes(records: Sequence[Mapping[str, Any]]) -> list[str]:
    """What the runs had to say, each once; with its seeds where not every seed says it."""
    seeds_of: dict[str, set[int]] = {}
    for r in records:
        for note in json.loads(r["notes"]):
            seeds_of.setdefault(note, set()).add(r["seed"])
    every = {r["seed"] for r in records if r["status"] == "done"}
    return [
        note if seeds == every else f"Seed {', '.join(map(str, sorted(seeds)))}: {note}"
        for note, seeds in seeds_of.items()
    ]
