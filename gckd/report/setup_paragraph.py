"""Paragraph on the experimental setup of a table, written from its records alone."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from gckd.config import PRESETS, encode
from gckd.config.serialization import differing
from gckd.report.bootstrap import QUERY_RESAMPLES
from gckd.report.comparability import short_revision
from gckd.storage.launches import LAUNCHES_FILE, read_launches

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator, Mapping, Sequence

    from gckd.config import Config
    from gckd.config.stages import Adapt, Pretrain
    from gckd.report.subtable import Subtable

_NOT_OF_THE_METHOD = ("data.source", "data.target", "seed", "device", "checkpoint_minutes", "evaluate.audit")
_MAX_EDITS = 8  # listed; more are counted
_VERSIONS = ("Python", "torch", "torch-geometric", "numpy", "scipy", "ray")


def setup_paragraph(subtable: Subtable) -> str:
    """Datasets with counts, preset, training, seeds, statistics, versions; one paragraph of plain text.

    A fact that the records lack is left out.
    """
    config, done = subtable.config, [record for record in subtable.records if record["status"] == "done"]
    sentences = [
        *_datasets(done or subtable.records),
        _preset(config),
        f"The source model is trained for {_stage(config.pretrain)}.",
        f"The adaptation takes {_stage(config.adapt, ' of each domain')}.",
        *_seeds(done),
        *_evaluated(config),
        *_statistics(subtable, done),
        *_software(subtable),
    ]
    return " ".join(sentences)


def _datasets(records: Sequence[Mapping[str, Any]]) -> Iterator[str]:
    pairs = dict.fromkeys((str(r["source"]), str(r["target"])) for r in records)
    for source, target in pairs:
        yield f"The labelled source is {source}, the unlabelled target {target}."
    sizes = dict.fromkeys((r["queries"], r["gallery"]) for r in records if r["status"] == "done")
    for queries, gallery in sizes:
        yield f"The test split of the target has {queries:,} captions as queries and {gallery:,} gallery images."


def _preset(config: Config) -> str:
    """The preset with the fewest differences, and these differences."""
    by_preset = {
        name: [leaf for leaf in differing(encode(make()), encode(config)) if not leaf[0].startswith(_NOT_OF_THE_METHOD)]
        for name, make in PRESETS.items()
    }
    name, changed = min(by_preset.items(), key=lambda item: len(item[1]))
    if not changed:
        return f"The full method has the preset {name}."
    if len(changed) > _MAX_EDITS:
        return f"The full method differs from the preset {name} in {len(changed)} fields (config.yaml)."
    listed = ", ".join(f"{path} = {value}" for path, _, value in changed)
    return f"The full method has the preset {name} with {listed}."


def _stage(stage: Pretrain | Adapt, domains: str = "") -> str:
    batches = f"{stage.accumulate} batches of {stage.batch} pairs" if stage.accumulate > 1 else f"{stage.batch} pairs"
    steps = f"{stage.steps:,} steps of {batches}{domains}"
    return (
        f"{steps} (optimiser {stage.optimizer.kind}, learning rate {stage.lr:g}, weight decay {stage.weight_decay:g})"
    )


def _seeds(done: Sequence[Mapping[str, Any]]) -> Iterator[str]:
    seeds_of: dict[str, set[int]] = {}
    for record in done:
        seeds_of.setdefault(record["row"], set()).add(record["seed"])
    seeds = sorted(set().union(*seeds_of.values()))
    if seeds:
        noun = "seeds" if len(seeds) > 1 else "seed"
        ending = "" if all(len(of_row) == len(seeds) for of_row in seeds_of.values()) else ", some rows with fewer"
        yield f"Rows are trained with {len(seeds)} {noun} ({', '.join(map(str, seeds))}){ending}."


def _evaluated(config: Config) -> Iterator[str]:
    """The evaluated checkpoint and weights, and what target labels were used for."""
    yield "The checkpoint of the last step is evaluated; nothing is selected."
    if share := config.adapt.source_share:
        yield f"The evaluated weights average the source model ({share:.3g}) and the student ({1 - share:.3g})."
    yield "The hyperparameters of the presets were chosen with target labels of development datasets."


def _statistics(subtable: Subtable, done: Sequence[Mapping[str, Any]]) -> Iterator[str]:
    rows_of_seed: dict[int, set[str]] = {}
    for record in done:
        rows_of_seed.setdefault(record["seed"], set()).add(record["row"])
    if len(rows_of_seed) > 1:
        yield "Intervals are 95 % confidence intervals of the mean over seeds (Student's t)."
    if sum(len(rows) > 1 for rows in rows_of_seed.values()) > 1:
        yield (
            "Rows are compared with the full method by two-sided paired t tests over seeds, Holm-corrected over the "
            "rows."
        )
    if subtable.queries:
        yield (
            f"Intervals over queries are bootstrap intervals with {QUERY_RESAMPLES:,} resamples of the identities, the "
            "trained models being fixed."
        )


def _software(subtable: Subtable) -> Iterator[str]:
    files = [file for folder in subtable.folders if (file := folder / LAUNCHES_FILE).exists()]
    launches: list[dict[str, Any]] = [launch for file in files for launch in read_launches(file)]
    versions = {name: _values(launches, name) for name in _VERSIONS}
    listed = ", ".join(f"{name} {' and '.join(values)}" for name, values in versions.items() if values)
    if listed:
        yield f"Software: {listed}."
    revisions = sorted({short_revision(str(r["git_revision"])) for r in subtable.records if r.get("git_revision")})
    if revisions:
        yield f"Code: {', '.join(revisions)}."
    machines = _values(launches, "driver's machine")
    if machines:
        yield f"The runs were started on: {'; '.join(machines)}."


def _values(launches: Iterable[Mapping[str, Any]], name: str) -> list[str]:
    return list(dict.fromkeys(str(launch[name]) for launch in launches if launch.get(name) is not None))
