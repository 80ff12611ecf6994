"""Check of the attributes of a study's trials, which other programs can write too."""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping
from typing import TYPE_CHECKING, Any

from optuna.trial import TrialState

from gckd.errors import InputError
from gckd.printable import brief
from gckd.storage.json_text import MAX_DEPTH
from gckd.tune.study import DUPLICATE_OF, EDITS, EPOCH, FOLDER, MEMORY, OWNER, REASON, REFUSED, SECONDS, SEEDS, THREADS

if TYPE_CHECKING:
    from optuna import Study
    from optuna.trial import FrozenTrial


_MAX_INTEGER = 2**53  # all integers up to it are exact in columns of integers and of floating-point numbers


def _is_integer(value: Any) -> bool:
    return isinstance(value, int) and not isinstance(value, bool) and abs(value) <= _MAX_INTEGER


def _is_number(value: Any) -> bool:
    return isinstance(value, float) or _is_integer(value)


def _is_mapping(value: Any) -> bool:
    return isinstance(value, Mapping) and all(isinstance(key, str) for key in value)


def _is_edits(value: Any) -> bool:
    return _is_mapping(value) and all(_is_integer(v) for v in value.values() if type(v) is int)


def _is_deeper(value: Any, levels: int) -> bool:
    """Whether more than `levels` lists and mappings are inside each other."""
    inside = value.values() if isinstance(value, Mapping) else value if isinstance(value, list) else None
    return inside is not None and (levels == 0 or any(_is_deeper(item, levels - 1) for item in inside))


def _is_text(value: Any) -> bool:
    return isinstance(value, str)


_EPOCH_RESULT = re.compile(r"epoch/\d{1,9}")
_VALUES = re.compile(r"values/\d{1,9}")
# Name of an attribute -> test of its value, and its description.
_TYPES: dict[str, tuple[Callable[[Any], bool], str]] = {
    EDITS: (_is_edits, "a mapping of config paths to values"),
    EPOCH: (_is_integer, "an integer"),
    SECONDS: (_is_number, "a number"),
    MEMORY: (_is_number, "a number"),
    THREADS: (_is_integer, "an integer"),
    DUPLICATE_OF: (_is_integer, "an integer"),
    FOLDER: (_is_text, "text"),
    OWNER: (_is_text, "text"),
    REASON: (_is_text, "text"),
    REFUSED: (lambda value: isinstance(value, bool), "true or false"),
    SEEDS: (lambda value: isinstance(value, list) and all(map(_is_integer, value)), "a list of integers"),
}


def check_trials(study: Study) -> None:
    """Check every trial of a study.

    Raises:
        InputError: see `check_trial`.
    """
    for trial in study.get_trials(deepcopy=False):
        check_trial(trial, study.study_name, len(study.directions))


def check_trial(trial: FrozenTrial, study: str, objectives: int) -> None:
    """Check the attributes that gckd reads. Attributes of other programs are ignored.

    Args:
        study: its name, for the message.
        objectives: number of the study's objectives.

    Raises:
        InputError: an attribute has another type than gckd writes, or belongs to an epoch that was not reported; or the
            trial has another number of values than the study has objectives.
    """
    for name, value in trial.user_attrs.items():
        is_valid, expected = _type_of(name)
        if _is_deeper(value, MAX_DEPTH):
            raise _error(trial, study, f"{brief(name)} has more than {MAX_DEPTH} levels of lists")
        if value is not None and not is_valid(value):
            raise _error(trial, study, f"{brief(name)} is {brief(value)}, not {expected}")
    if not all(map(_is_number, trial.values or [])):
        raise _error(trial, study, f"its values are {brief(trial.values)}, not numbers")
    if trial.values is not None and len(trial.values) != objectives:
        raise _error(trial, study, f"it has {len(trial.values)} values for {objectives} objectives")
    has_values = trial.state == TrialState.COMPLETE and DUPLICATE_OF not in trial.user_attrs
    epoch = trial.user_attrs.get(EPOCH)
    if (has_values or epoch is not None) and f"epoch/{epoch}" not in trial.user_attrs:
        raise _error(trial, study, f"its epoch {epoch} has no result")


def _type_of(name: str) -> tuple[Callable[[Any], bool], str]:
    if name.startswith("epoch/"):
        return (lambda result: bool(_EPOCH_RESULT.fullmatch(name)) and _is_result(result)), "a mapping of scores"
    if _VALUES.fullmatch(name):
        return (lambda values: isinstance(values, list) and all(map(_is_number, values))), "a list of numbers"
    return _TYPES.get(name, (lambda value: True, ""))


def _is_result(result: Any) -> bool:
    return _is_mapping(result) and all(value is None or _is_number(value) for value in result.values())


def _error(trial: FrozenTrial, study: str, problem: str) -> InputError:
    return InputError(
        f"--study: {study!r}, trial {trial.number}: {problem}; another program changed the study, so choose another one"
    )
