"""Captions of the component table: the facts that its numbers depend on."""

from __future__ import annotations

import inspect
import json
from typing import TYPE_CHECKING, Any

from gckd.report.comparability import plugins_of
from gckd.report.reference_rows import SOURCE_MODEL, SUPERVISED, gap, is_gap
from gckd.report.subtable import Subtable, mismatch_lines
from gckd.report.summary import FULL, RowSummary, values_by_seed
from gckd.report.tuned_rates import caption_lines

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from gckd.config import Config

_ESSENTIAL = ("±", "Δ", "p:", "Seeds:", "Target labels", "Uses target labels", "Changed spec", "†", "MISMATCH", "Tuned")
PROPAGATED = "each test item separately propagated on the graph over the banks of its run"

# Edits below these paths change the source model.
_SOURCE_PATHS = ("backbone", "tokenizer", "data", "augment", "pretrain", "centre", "weights.source")


def is_essential(line: str) -> bool:
    """Whether a line must stay beside the numbers: counts, symbols, seeds, target labels and marks."""
    return "Target test split:" in line or any(line.startswith(text) or f": {text}" in line for text in _ESSENTIAL)


def captions(subtables: Sequence[Subtable], rows: Sequence[RowSummary]) -> list[str]:
    """Lines below the table: the questions, the facts of all subtables, then those of single ones with their names.

    Args:
        subtables: all of the table.
        rows: of all subtables.
    """
    lines_of = {s.name: caption(s.records, [r for r in rows if r.subtable == s.name], s.config) for s in subtables}
    questions = [question for subtable in subtables for question in subtable.questions]
    lines = dict.fromkeys(line for q in questions for line in (q.question, q.mark) if line)
    for name, subtable_lines in lines_of.items():
        for line in subtable_lines:
            shared = all(line in listed for listed in lines_of.values())
            lines[line if shared or line == subtable_lines[0] else f"{name}: {line}"] = None
    marked = any(row.marked for row in rows)
    marks = ["† marks a row that differs from the full method in one of the following."] if marked else []
    return [*lines, *marks, *(f"MISMATCH in {line}." for line in mismatch_lines(subtables))]


def caption(records: Sequence[Mapping[str, Any]], rows: Sequence[RowSummary], config: Config) -> list[str]:
    """Lines about datasets, seeds, budgets, selection, inference, intervals and notes of one subtable.

    Args:
        records: of the subtable.
        rows: their summaries.
        config: full config.
    """
    return [
        _datasets(records),
        *_symbols(rows),
        *_reference_rows(records, rows),
        *caption_lines({row.row: row.tuned for row in rows}),
        _seeds(rows),
        _training(records, rows, config),
        *_graph(config),
        "Checkpoint: that of the last step; nothing is selected. The labels of the target's test split are read once, "
        "at the end of a run.",
        *_average(config),
        _inference(config, records),
        "The hyperparameters of the presets were chosen with target labels of development datasets (LOG.md).",
        *_plugins(records),
        *_notes(records),
    ]


def _average(config: Config) -> list[str]:
    """Statement that the evaluated weights are an average, if the full config says so."""
    share = config.adapt.source_share
    if not share:
        return []
    return [
        f"Evaluated weights: {share:.3g} x source model + {1 - share:.3g} x student (adapt.source_share), in every row "
        "that adapts and does not change this field."
    ]


def _symbols(rows: Sequence[RowSummary]) -> list[str]:
    """Meaning of ±, Δ, p and the published numbers, as far as the table has them."""
    lines = ["±: half width of the 95 % confidence interval of the mean over seeds (Student's t); n/a: one seed."]
    if any(row.row != FULL for row in rows):
        lines.append("Δ: full - row, paired by seed; positive where the full method is better.")
    tested = [row.row for row in rows if row.p]
    if tested:
        including = ", including source-model" if SOURCE_MODEL in tested else ""
        lines.append(
            "p: two-sided paired t test over seeds that full and row have equal means, Holm-corrected over the rows "
            f"that have a p{including}."
        )
    if any(row.published is not None for row in rows):
        lines.append(
            "Published Rank-1: from the paper (arXiv 2501.15052), with its full-size model and pretrained weights."
        )
    return lines


def _reference_rows(records: Sequence[Mapping[str, Any]], rows: Sequence[RowSummary]) -> list[str]:
    """Statement that rows train with target labels, and the meaning of the share of the gap or why it is missing."""
    supervised = [row.row for row in rows if row.target_labels]
    lines = [
        f"Target labels: {row} reads them. It trains on the labelled train split of the target with the loss terms of "
        "the source. It is an upper reference, not a method: it has no p and is not compared for the best mean."
        for row in supervised
    ]
    difference = gap({row: values_by_seed(records, row, "rank_1") for row in (SOURCE_MODEL, SUPERVISED)})
    if difference is None:
        return lines
    spread = "n/a" if difference.half_width is None else f"{difference.half_width:.1f}"
    size = f"{difference.mean:+z.1f} ± {spread} points of Rank-1"
    if is_gap(difference):
        formula = f"(row - {SOURCE_MODEL}) / ({SUPERVISED} - {SOURCE_MODEL})"
        return [*lines, f"Gap closed: {formula}, of the mean Rank-1 over common seeds. The gap is {size}."]
    reason = f"{SUPERVISED} - {SOURCE_MODEL} is not above 0 with 95 % confidence ({size})"
    return [*lines, f"Gap closed: not given, because {reason}."]


def _datasets(records: Sequence[Mapping[str, Any]]) -> str:
    names = sorted({f"{r['source']} (labelled) → {r['target']} (unlabelled)" for r in records})
    sizes = sorted({(r["queries"], r["gallery"]) for r in records if r["status"] == "done"})
    counts = " or ".join(f"{queries} queries, {gallery} gallery images" for queries, gallery in sizes)
    return f"{'; '.join(names)}. Target test split: {counts or 'not evaluated'}. All metrics in percent."


def _seeds(rows: Sequence[RowSummary]) -> str:
    seeds = sorted({seed for row in rows for seed in row.seeds})
    text = f"Seeds: {', '.join(map(str, seeds)) or 'none finished'}."
    return text if _same_seeds(rows) else f"{text} Not every row has all of them; Δ uses the seeds that both rows have."


def _same_seeds(rows: Sequence[RowSummary]) -> bool:
    return len({row.seeds for row in rows if row.seeds}) <= 1


def _training(records: Sequence[Mapping[str, Any]], rows: Sequence[RowSummary], config: Config) -> str:
    """Budget that the rows share, with the rows that have another source model, other batches or no adaptation."""
    edits = {r["row"]: json.loads(r.get("edits") or "{}") for r in records}
    unadapted = [row.label for row in rows if edits.get(row.row, {}).get("adapt.steps") == 0]
    other_source = [row.label for row in rows if any(path.startswith(_SOURCE_PATHS) for path in edits.get(row.row, ()))]
    subject = "Every row except those marked †" if any(row.marked for row in rows) else "Every row"
    seeds = "the same seeds, " if _same_seeds(rows) else ""
    exceptions = [f"another source model in {', '.join(other_source)}"] if other_source else []
    labelled = [row.label for row in rows if row.target_labels]
    exceptions += [f"labelled batches of the target in {', '.join(labelled)}"] if labelled else []
    exceptions += [f"no adaptation, only the source model, in {', '.join(unadapted)}"] if unadapted else []
    return (
        f"{subject} has {seeds}the same batches ({config.adapt.batch} pairs per domain and step) and "
        f"{config.adapt.steps} adaptation steps from the same source model ({config.pretrain.steps} pre-training steps "
        f"of {config.pretrain.batch} pairs)." + (f" Exceptions: {'; '.join(exceptions)}." if exceptions else "")
    )


def _graph(config: Config) -> list[str]:
    """Message passing of the full method, which the row -gmp lacks."""
    propagate = config.graph.propagate
    if propagate.off:
        return []
    description = (inspect.getdoc(type(propagate)) or "").partition("\n")[0].rstrip(".")
    names = " and ".join(dict.fromkeys(graph.name for graph in propagate.graphs()))
    graphs = f"; graphs: {names}" if names else ""
    return [f"GMP, which --drop gmp removes: {description} (graph.propagate={propagate.kind}{graphs})."]


def _inference(config: Config, records: Sequence[Mapping[str, Any]]) -> str:
    centred = "centred by the target-train mean" if config.centre else "not centred"
    top = config.evaluate.k_test
    ranked = f"the top {top} re-ranked by the matching head" if top else "no re-ranking"
    steps = [f"embeddings {centred}", *[PROPAGATED] * config.evaluate.propagate, ranked]
    exceptions = _other_inference(records)
    rows = f"every row except {', '.join(exceptions)}" if exceptions else "every row"
    return f"Inference of {rows}: {', '.join(steps)}."


def _other_inference(records: Sequence[Mapping[str, Any]]) -> list[str]:
    """Rows that are evaluated otherwise than the full one, each with its edits of the evaluation."""
    exceptions: dict[str, str] = {}
    for r in records:
        edits = json.loads(r.get("edits") or "{}").items()
        changed = [
            f"{path} = {json.dumps(value)}" for path, value in edits if path.split(".")[0] in ("centre", "evaluate")
        ]
        if changed:
            exceptions[r["row"]] = f"{r['row']} ({', '.join(changed)})"
    return list(exceptions.values())


def _plugins(records: Sequence[Mapping[str, Any]]) -> list[str]:
    """Plugin files that were loaded, each with the digest of its text."""
    plugins = sorted({plugin for r in records for plugin in plugins_of(r).items()})
    listed = ", ".join(f"{name} (digest {digest})" for name, digest in plugins)
    return [f"Plugins, code from outside the package: {listed}."] if plugins else []


def _notes(records: Sequence[Mapping[str, Any]]) -> list[str]:
    """Each note of the runs once, with its seeds if not every seed has it."""
    seeds_of: dict[str, set[int]] = {}
    for r in records:
        for note in json.loads(r["notes"]):
            seeds_of.setdefault(note, set()).add(r["seed"])
    done_seeds = {r["seed"] for r in records if r["status"] == "done"}
    return [
        note if seeds == done_seeds else f"Seed {', '.join(map(str, sorted(seeds)))}: {note}"
        for note, seeds in seeds_of.items()
    ]
