"""YAML texts from anybody: their limits."""

from __future__ import annotations

import time
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from gckd.config import Config, ConfigError, preset, to_yaml
from gckd.config.edit import apply, parse_edits
from gckd.config.yaml_text import MAX_CHARACTERS, MAX_DEPTH, MAX_NODES, YamlError, dump_yaml, load_yaml

LEVEL = "[*a{0}, *a{0}, *a{0}, *a{0}, *a{0}, *a{0}, *a{0}, *a{0}, *a{0}]"
BOMB = "data: [&a0 [lol], " + ", ".join(f"&a{n + 1} {LEVEL.format(n)}" for n in range(9)) + "]"


@pytest.mark.parametrize(
    ("text", "problem"),
    [
        ("seed: !!bool foo", "'foo' is not a value of type bool"),
        ('seed: !!int ""', "'' is not a value of type int"),
        ("seed: !!timestamp foo", "a value with the tag tag:yaml.org,2002:timestamp"),
        ("seed: " + "1" * 5000, "a number of 5,000 characters (line 1); the limit is 100"),
        ("seed: " + "1:" * 200 + "1", "a number of 401 characters"),
        ("[" * 1500, f"more than {MAX_DEPTH} deep"),
        ("{a: " * 1500, f"more than {MAX_DEPTH} deep"),
        ("- " * 1500, f"more than {MAX_DEPTH} deep"),
        ("? " * 1500, f"more than {MAX_DEPTH} deep"),
        ("- a\n" * (MAX_NODES + 1), f"more than {MAX_NODES:,} keys and values"),
        (" " * (MAX_CHARACTERS + 1), f"the limit is {MAX_CHARACTERS:,}"),
        (BOMB, "an alias, *a0 (line 1); write the value out"),
        ("a: &x [*x]", "an alias, *x"),
        ("seed: 1\nseed: 2", "line 2: the key 'seed' is given twice; remove one"),
        ("{seed: 1, 'seed': 2}", "line 1: the key 'seed' is given twice; remove one"),
        ("{1: 1, '1': 2}", "line 1: the key '1' is given twice; remove one"),
        ("{[a]: 1}", "a list or mapping as a key"),
        ("!!python/object/apply:os.system [id]", "only plain values are read"),
        ("!!binary aGk=", "only plain values are read"),
        ('"\\0"', "a text with a NUL or half a character"),
        ('"\\ud800"', "a text with a NUL or half a character"),
        ('"\\U00110000"', "not in range"),
        ("%YAML 1." + "1" * 5000 + "\n--- a", "4300"),
        ("\0", "unacceptable character"),
        ("a\n---\nb", "another document"),
    ],
)
def test_a_text_beyond_a_limit_is_refused_in_one_short_line_within_a_second(text: str, problem: str) -> None:
    started = time.process_time()
    with pytest.raises(YamlError) as caught:
        load_yaml(text)
    assert problem in str(caught.value)
    assert len(str(caught.value)) < 300 and "\n" not in str(caught.value)
    assert time.process_time() - started < 2


def test_aliases_of_a_cluster_file_count_in_full() -> None:
    assert load_yaml("[&a {b: 1}, *a, {<<: *a, c: 2}]", aliases=True) == [{"b": 1}, {"b": 1}, {"b": 1, "c": 2}]
    with pytest.raises(YamlError, match=f"more than {MAX_NODES:,} keys and values"):
        load_yaml(BOMB, aliases=True)
    for text in ("&a [*a]", "&a {b: *a}", "[*a, &a 1]"):
        with pytest.raises(YamlError, match="of no value above it"):
            load_yaml(text, aliases=True)


@pytest.mark.parametrize("text", ["2001-99-99", "2001-01-01", "2001-12-14t21:59:43.10-05:00", "=", "<<"])
def test_dates_and_special_keys_are_texts(text: str) -> None:
    assert load_yaml(text) == text


def test_keys_are_texts() -> None:
    assert load_yaml("{3: a, 0.5: b, null: {no: 1}, ~: 2}") == {"3": "a", "0.5": "b", "null": {"no": 1}, "~": 2}
    with pytest.raises(YamlError, match="the key '3' is given twice"):
        load_yaml("{3: a, '3': b}")


def test_a_long_value_is_cut_in_the_message() -> None:
    for edits in ({"seed": "x" * 100_000}, {"seed": ["x"] * 4_000}, {"graph.propagate": "x" * 100_000}):
        with pytest.raises(ConfigError) as caught:
            apply(preset("tiny"), edits)
        assert len(str(caught.value)) < 300, edits.keys()
    with pytest.raises(ConfigError) as caught:
        parse_edits([f"seed=[{'x' * 100_000}"])
    assert len(str(caught.value)) < 300


@pytest.mark.parametrize("value", [2**63, -(2**63) - 1, 10**99])
def test_a_whole_number_has_64_bits(value: int) -> None:
    with pytest.raises(ConfigError, match=r"adapt\.steps: .* is outside its limit: a whole number of 64 bits"):
        apply(preset("tiny"), {"adapt.steps": value})


TEXT = st.text(st.characters(exclude_characters="\x85\u2028\u2029", exclude_categories=["Cs"]), max_size=20)
PLAIN = st.recursive(
    st.none() | st.booleans() | st.integers(-(2**63), 2**63) | st.floats(allow_nan=False) | TEXT,
    lambda values: st.lists(values, max_size=4) | st.dictionaries(TEXT, values, max_size=4),
    max_leaves=20,
)


@settings(max_examples=100, deadline=None)
@given(PLAIN)
def test_written_values_are_read_back(value: Any) -> None:
    try:
        assert load_yaml(dump_yaml(value)) == value
    except YamlError as error:  # a NUL, or a character that YAML has no form for
        assert "character" in str(error)  # noqa: PT017


@settings(max_examples=300, deadline=None)
@given(st.text(alphabet="ab0189:-?[]{}&*!|>%@'\\\"#,\n\t .~=<eE_x\0\x85\ud800\u2028", max_size=60))
def test_any_text_is_read_or_refused(text: str) -> None:
    for aliases in (False, True):
        try:
            load_yaml(text, aliases=aliases)
        except YamlError as error:
            assert "\n" not in str(error)  # noqa: PT017


def test_a_config_is_far_below_the_limits() -> None:
    text = to_yaml(Config())
    assert len(text) * 10 < MAX_CHARACTERS
    assert text.count("\n") * 20 < MAX_NODES


@pytest.mark.parametrize("text", ["9" * 100_000, "9" * 100_000 + "e", "1_" * 50_000])
def test_a_long_number_is_refused_at_once(text: str) -> None:
    """The patterns of numbers need quadratic time: minutes for these texts."""
    with pytest.raises(YamlError, match=r"a number of 100,00\d characters"):
        load_yaml(text)
