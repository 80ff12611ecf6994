"""Tables of the best trials and of the setup of a search, as plain data for the page and the terminal."""

from __future__ import annotations

import math
from typing import TYPE_CHECKING, Any

from gckd.cluster.trial import ORACLE
from gckd.config import PRESETS, Config, ConfigError, decode, encode, value_at
from gckd.config.serialization import differences
from gckd.report.html.page import NONE, Table
from gckd.tune.best import ranked, selector
from gckd.tune.report.plotted_study import short_names
from gckd.tune.report.trial_values import objective_label
from gckd.tune.space.choice import kind_or_value
from gckd.tune.space.parse import read_parameter
from gckd.tune.study import EDITS, MEMORY, SECONDS, SEEDS
from gckd.tune.trial_table import objectives
from gckd.validators import SCORES

if TYPE_CHECKING:
    from collections.abc import Mapping

    from optuna import Study

    from gckd.tune.best import Candidate

_SELECTORS = {
    "default": "default: gain in im over the source model, log(im / its im)",
    ORACLE: "oracle: true Rank-1 on the target's val split",
}


def number(value: Any, digits: int = 4) -> str:
    """A number with `digits` significant digits, a component by its kind; a dash for None and NaN."""
    if value is None or (isinstance(value, float) and math.isnan(value)):
        return NONE
    if isinstance(value, float):
        return f"{value:.0f}" if 10**digits <= abs(value) < 1e9 else f"{value:.{digits}g}"
    return str(kind_or_value(value))


def setup_table(study: Study) -> Table:
    """Datasets, space, base config, sampler, objectives and selection score of the search."""
    attrs = study.user_attrs
    seeds = sorted({seed for trial in study.get_trials(deepcopy=False) for seed in trial.user_attrs.get(SEEDS) or []})
    goals = [
        f"{name}, {'higher' if direction.name == 'MAXIMIZE' else 'lower'} is better"
        for name, direction in zip(objectives(study), study.directions, strict=False)
    ]
    space = [read_parameter(path, spec).text() for path, spec in attrs.get("space", {}).items()]
    facts: dict[str, list[str]] = {
        "source (labelled)": [str(attrs.get("source", NONE))],
        "target (unlabelled)": [str(attrs.get("target", NONE))],
        "space": space or [NONE],
        "base config": _base(attrs.get("base", {})),
        **({"sampler": [str(attrs["sampler"])]} if "sampler" in attrs else {}),
        "objectives" if len(goals) > 1 else "objective": goals,
        "selection score": [_selection(selector(study))],
        "seeds of each trial": [", ".join(map(str, seeds)) or NONE],
        "git revision": [str(attrs.get("revision", NONE))],
    }
    body = [[name if i == 0 else "", line] for name, lines in facts.items() for i, line in enumerate(lines)]
    return Table([], body, text_columns=2)


def _selection(select: str) -> str:
    return f"{select}: {SCORES[select].description}" if select in SCORES else _SELECTORS.get(select, select)


def _base(base: Mapping[str, Any]) -> list[str]:
    """The preset nearest to the base config, and the differences except for the datasets."""
    changes = {
        name: [
            line for line in differences(encode(make()), base) if not line.startswith(("data.source:", "data.target:"))
        ]
        for name, make in PRESETS.items()
    }
    nearest = min(changes, key=lambda name: len(changes[name]))
    return [f"preset {nearest}" + (", except:" if changes[nearest] else ""), *changes[nearest]]


def edits_table(study: Study, chosen: Candidate) -> Table:
    """Edits of the chosen trial, beside the values of the base config."""
    edits: dict[str, Any] = chosen.trial.user_attrs.get(EDITS, {})
    base = study.user_attrs["base"]
    body = [[path, _base_value(base, path), number(edits[path], 6)] for path in sorted(edits)]
    return Table(["hyperparameter", "base config", f"trial {chosen.trial.number}"], body)


def _base_value(base: Mapping[str, Any], path: str) -> str:
    try:
        return number(encode(value_at(decode(Config, base), path)), 6)
    except (AttributeError, ConfigError):
        return NONE  # the path belongs to a component that the base config does not have


def scores_table(study: Study, chosen: Candidate) -> Table:
    """Label-free scores at the chosen trial's epoch, beside those of the source model."""
    start = study.user_attrs.get("start", {})
    body = [
        [name, SCORES[name].description if name in SCORES else "", number(start.get(name)), number(value)]
        for name, value in chosen.scores.items()
    ]
    return Table(["score", "description", "source model", f"trial {chosen.trial.number}"], body, text_columns=2)


def best_trials_table(study: Study, limit: int, *, scores: bool) -> Table:
    """The best trials, the chosen one first: objectives, edits, scores at the selected epoch, seconds, memory."""
    best = ranked(study)[:limit]
    paths = sorted({path for c in best for path in c.trial.user_attrs.get(EDITS, {})})
    names = list(dict.fromkeys(name for c in best for name in c.scores)) if scores else []
    costs = {key: head for key, head in ((SECONDS, "seconds"), (MEMORY, "GiB")) if key not in objectives(study)}
    body = []
    for c in best:
        edits = c.trial.user_attrs.get(EDITS, {})
        values = [*c.trial.values, *map(edits.get, paths), *map(c.scores.get, names)]
        values += [c.trial.user_attrs.get(key) for key in costs]
        body.append([str(c.trial.number), str(c.epoch), *map(number, values)])
    labels = [objective_label(study, place) for place in range(len(study.directions))]
    head = ["trial", "epoch", *labels, *short_names(paths), *names, *costs.values()]
    return Table(head, body, text_columns=0, highlighted_row=0 if best else None)
