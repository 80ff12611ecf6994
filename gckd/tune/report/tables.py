"""What the report of a search says of its best trials in tables: plain data for the page and the screen."""

from __future__ import annotations

import math
from typing import TYPE_CHECKING, Any

from gckd.cluster.trial import ORACLE
from gckd.config import PRESETS, Config, ConfigError, decode, encode, value_at
from gckd.config.serialization import differences
from gckd.report.html.page import NONE, Table
from gckd.tune.best import ranked, selector
from gckd.tune.report.trial_values import objective_label
from gckd.tune.space.choice import kind_or_value
from gckd.tune.space.parse import read_parameter
from gckd.tune.study import EDITS, MEMORY, SECONDS, SEEDS
from gckd.tune.trial_table import objectives
from gckd.validators import SCORES

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from optuna import Study

    from gckd.tune.best import Candidate

_SELECTORS = {
    "default": "default: mean rank in source_val_map, bnm and cycle, where rank_me shows no collapse",
    ORACLE: "oracle: true Rank-1 on the target's val split",
}


def number(value: Any, digits: int = 4) -> str:
    """A number with so many significant digits, a component by its kind; a dash where there is none."""
    if value is None or (isinstance(value, float) and math.isnan(value)):
        return NONE
    if isinstance(value, float):
        return f"{value:.0f}" if 10**digits <= abs(value) < 1e9 else f"{value:.{digits}g}"
    return str(kind_or_value(value))


def searched(study: Study) -> Table:
    """What was searched, on what, how."""
    attrs = study.user_attrs
    seeds = sorted({seed for trial in study.get_trials(deepcopy=False) for seed in trial.user_attrs.get(SEEDS) or []})
    aims = [
        f"{name}: the {'higher' if direction.name == 'MAXIMIZE' else 'lower'} the better"
        for name, direction in zip(objectives(study), study.directions, strict=False)
    ]
    space = [read_parameter(path, spec).text() for path, spec in attrs.get("space", {}).items()]
    facts: dict[str, list[str]] = {
        "source, labelled": [str(attrs.get("source", NONE))],
        "target, unlabelled": [str(attrs.get("target", NONE))],
        "space": space or [NONE],
        "base": _base(attrs.get("base", {})),
        **({"sampler": [str(attrs["sampler"])]} if "sampler" in attrs else {}),
        "objectives" if len(aims) > 1 else "objective": aims,
        "selected by": [_selecting(selector(study))],
        "seeds of a trial": [", ".join(map(str, seeds)) or NONE],
        "code": [str(attrs.get("revision", NONE))],
    }
    body = [[name if i == 0 else "", line] for name, lines in facts.items() for i, line in enumerate(lines)]
    return Table([], body, text_columns=2)


def _selecting(select: str) -> str:
    return f"{select}: {SCORES[select]}" if select in SCORES else _SELECTORS.get(select, select)


def _base(base: Mapping[str, Any]) -> list[str]:
    """The preset nearest to the search's config, and in what they differ; the datasets have lines of their own."""
    told = {name: differences(encode(make()), base) for name, make in PRESETS.items()}
    unlike = {
        name: [line for line in lines if not line.startswith(("data.source:", "data.target:"))]
        for name, lines in told.items()
    }
    nearest = min(unlike, key=lambda name: len(unlike[name]))
    return [f"preset {nearest}" + (", except:" if unlike[nearest] else ""), *unlike[nearest]]


def edits_of(study: Study, chosen: Candidate) -> Table:
    """What the chosen trial changes in the search's config."""
    edits: dict[str, Any] = chosen.trial.user_attrs.get(EDITS, {})
    base = study.user_attrs["base"]
    body = [[path, _before(base, path), number(edits[path], 6)] for path in sorted(edits)]
    return Table(["hyperparameter", "in the base", f"in trial {chosen.trial.number}"], body)


def _before(base: Mapping[str, Any], path: str) -> str:
    try:
        return number(encode(value_at(decode(Config, base), path)), 6)
    except (AttributeError, ConfigError):
        return NONE  # it is inside a component that the base does not have


def scores_of(study: Study, chosen: Candidate) -> Table:
    """The label-free scores at the chosen trial's epoch, beside those of the source model."""
    start = study.user_attrs.get("start", {})
    body = [
        [name, SCORES.get(name, ""), number(start.get(name)), number(value)] for name, value in chosen.scores.items()
    ]
    return Table(["score", "what it is", "source model", f"trial {chosen.trial.number}"], body, text_columns=2)


def top(study: Study, most: int, *, scores: bool) -> Table:
    """The best trials, the chosen one first: values told, edits, scores at the selected epoch, seconds, memory."""
    found = ranked(study)[:most]
    paths = sorted({path for c in found for path in c.trial.user_attrs.get(EDITS, {})})
    names = list(dict.fromkeys(name for c in found for name in c.scores)) if scores else []
    costs = {key: head for key, head in ((SECONDS, "seconds"), (MEMORY, "GiB")) if key not in objectives(study)}
    body = []
    for c in found:
        edits = c.trial.user_attrs.get(EDITS, {})
        values = [*c.trial.values, *map(edits.get, paths), *map(c.scores.get, names)]
        values += [c.trial.user_attrs.get(key) for key in costs]
        body.append([str(c.trial.number), str(c.epoch), *map(number, values)])
    told = [objective_label(study, place) for place in range(len(study.directions))]
    head = ["trial", "epoch", *told, *_short(paths), *names, *costs.values()]
    return Table(head, body, text_columns=0, highlighted_row=0 if found else None)


def _short(paths: Sequence[str]) -> list[str]:
    """Last parts of paths; the whole path where two end alike."""
    ends = [path.rpartition(".")[2] for path in paths]
    return [path if ends.count(end) > 1 else end for path, end in zip(paths, ends, strict=True)]
