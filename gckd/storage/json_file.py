"""JSON files that gckd has written, checked against a schema when they are read back."""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

from gckd.errors import InputError, reason_of

_CHARACTERS = 120  # of a problem in a message


def read_json(file: Path, schema: Mapping[str, Any], remedy: str) -> Any:
    """Content of a JSON file.

    Args:
        schema: JSON schema of the content.
        remedy: end of the message on a damaged file, for example "delete it".

    Raises:
        InputError: the file cannot be read, or is damaged.
    """
    try:
        return parse_json(file.read_bytes(), schema)
    except OSError as error:
        raise InputError(f"{file}: cannot be read ({reason_of(error)}); {remedy}") from error
    except ValueError as error:
        raise InputError(f"{file}: damaged ({error}); {remedy}") from error


def parse_json(text: bytes, schema: Mapping[str, Any]) -> Any:
    """Content of a JSON text.

    Raises:
        ValueError: the text is not JSON, or its content does not fit the schema.
    """
    try:
        content = json.loads(text, parse_constant=_refuse)
    except RecursionError as error:
        raise ValueError("too deep") from error
    except ValueError as error:
        raise ValueError(f"not JSON: {reason_of(error)}"[:_CHARACTERS]) from error
    for problem in _problems(content, schema):
        raise ValueError(problem)
    return content


def _problems(content: Any, schema: Mapping[str, Any]) -> Iterator[str]:
    from jsonschema import Draft202012Validator

    for error in Draft202012Validator(schema).iter_errors(content):
        path = ".".join(map(str, error.absolute_path))
        if error.validator == "type":
            reason = f"is not a JSON {error.validator_value}"
        elif error.validator == "required":
            reason = f"lacks {', '.join(name for name in error.validator_value if name not in error.instance)}"
        else:
            reason = f"is outside its limit: {error.validator} {error.validator_value}"
        yield f"{path or 'content'} {reason}"[:_CHARACTERS]


def _refuse(text: str) -> Any:
    raise ValueError(f"{text} is not a JSON number")
