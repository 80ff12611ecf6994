"""JSON files that gckd has written, checked against a schema when they are read back."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

from gckd.errors import InputError
from gckd.storage.json_text import JsonError, load_json
from gckd.storage.text_file import read_bytes

MAX_BYTES = 2**24
_CHARACTERS = 120  # of a problem in a message


def read_json(file: Path, schema: Mapping[str, Any], remedy: str) -> Any:
    """Content of a JSON file.

    Args:
        schema: JSON schema of the content.
        remedy: end of the message on a damaged file, for example "delete it".

    Raises:
        InputError: the file cannot be read, is damaged, or is larger than `MAX_BYTES`.
    """
    try:
        return parse_json(read_bytes(file, MAX_BYTES), schema)
    except InputError as error:
        raise InputError(f"{error}; {remedy}") from error
    except ValueError as error:
        raise InputError(f"{file}: damaged ({error}); {remedy}") from error


def parse_json(text: bytes, schema: Mapping[str, Any]) -> Any:
    """Content of a JSON text.

    Raises:
        ValueError: the text is not JSON, exceeds a limit, or its content does not fit the schema.
    """
    try:
        content = load_json(text, constants=_refuse)
    except JsonError as error:
        raise ValueError(str(error)[:_CHARACTERS]) from error
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
