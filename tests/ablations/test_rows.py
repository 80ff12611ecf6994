"""Rows of `--add`, `--factorial`, `--sweep` and specs."""

from __future__ import annotations

import itertools
from pathlib import Path
from typing import Any

import pytest

from gckd.ablations.components import COMPONENTS, drop_edits
from gckd.ablations.reserved_labels import BASELINE, reserved_labels
from gckd.ablations.rows import add_rows, factorial_rows, grid_rows, merge_rows, sweep_rows
from gckd.ablations.spec import SPECS, load_spec
from gckd.config import apply, digest, preset, value_at
from gckd.config.graph import Gnn, NoPropagation
from gckd.errors import InputError
from gckd.report.checks import CHECKS
from gckd.report.published import RANK_1

FULL = preset("tiny")


def spec_of(folder: Path, text: str) -> Path:
    (folder / "spec.yaml").write_text(text)
    return folder / "spec.yaml"


def test_adding_a_component_drops_the_others() -> None:
    rows = add_rows(["cmkd", "gmp", "gmp,cmkd"], FULL)
    without = {name: drop_edits(frozenset(names), FULL) for name, names in [("g", {"gmp"}), ("c", {"cmkd"})]}
    assert rows == {BASELINE: drop_edits(frozenset({"gmp", "cmkd"}), FULL), "+cmkd": without["g"], "+gmp": without["c"]}
    assert add_rows([], FULL) == {}


def test_a_factorial_has_every_combination_once() -> None:
    names = ["gmp", "mlm", "warm-start"]
    rows = factorial_rows("warm-start,gmp,mlm", FULL)
    digests = {digest(apply(FULL, edits)) for edits in rows.values()}
    assert len(rows) == len(digests) == 2 ** len(names) - 1
    for size in (1, 2, 3):
        for subset in itertools.combinations(names, size):
            words = set("-".join(subset).split("-"))
            (row,) = [row for row in rows if set(row.removeprefix("-").split("-")) == words]
            assert rows[row] == {path: value for name in subset for path, value in COMPONENTS[name].edits.items()}


def test_a_sweep_has_a_row_for_every_value_except_that_of_full() -> None:
    k = FULL.graph.propagate.k  # type: ignore[union-attr]
    rows = sweep_rows(f"graph.propagate.k=2,{k},7", FULL)
    assert rows == {f"graph.propagate.k={v}": {"graph.propagate.k": v} for v in (2, 7)}
    parts = sweep_rows("graph.propagate=gnn,none", FULL)
    assert [apply(FULL, edits).graph.propagate for edits in parts.values()] == [Gnn(), NoPropagation()]


@pytest.mark.parametrize(
    ("make", "given", "message"),
    [
        (add_rows, ["ema"], "--add: unknown component 'ema'; choose from gmp, cmkd"),
        (add_rows, ["cmkd", "cmkd"], "row +cmkd: given twice; remove one of the two"),
        (add_rows, ["gmp,"], "--add: 'gmp,' has an empty name; write NAME or NAME,NAME"),
        (factorial_rows, "gmp,gnn", "--factorial: unknown component 'gnn'; choose from gmp, cmkd, "),
        (factorial_rows, "cmkd,ema", "--drop: 'ema' is part of 'cmkd'; drop one of the two"),
        (
            sweep_rows,
            "graph.propagate.k",
            "--sweep: 'graph.propagate.k' is not PATH=VALUE,VALUE, for example graph.propagate.k=2,5,20",
        ),
        (
            sweep_rows,
            "graph.propagate.k=1,,2",
            "--sweep: 'graph.propagate.k=1,,2' is not PATH=VALUE,VALUE, for example graph.propagate.k=2,5,20",
        ),
        (sweep_rows, "graph.propagate.k=0,5000", "graph.propagate.k: 0 is outside its limit: >= 1"),
        (
            sweep_rows,
            f"graph.propagate.k={','.join(map(str, range(1, 1002)))}",
            "sweep or grid: 1001 values of graph.propagate.k: 1,001 rows are outside the limit of a table: <= 1,000",
        ),
        (
            grid_rows,
            {"graph.propagate.k": [2] * 4000, "seed": [1] * 4000, "adapt.steps": [3] * 4000},
            "sweep or grid: 4000 values of graph.propagate.k x 4000 values of seed x 4000 values of adapt.steps: "
            "64,000,000,000 rows are outside the limit of a table: <= 1,000",
        ),
        (
            factorial_rows,
            ",".join(list(COMPONENTS)[:10]),
            "--factorial: 10 components: 1,023 rows are outside the limit of a table: <= 1,000",
        ),
    ],
)
def test_refused(make: Any, given: Any, message: str) -> None:
    with pytest.raises(InputError) as caught:
        make(given, FULL)
    assert str(caught.value).startswith(message)


def test_the_sweeps_of_a_table_share_its_limit() -> None:
    sweeps = [{f"{name}={value}": {"seed": 1} for value in range(600)} for name in "ab"]
    with pytest.raises(InputError, match="rows: 1,200 rows are outside the limit of a table: <= 1,000"):
        merge_rows(*sweeps)


@pytest.mark.parametrize(
    "text", ["sweep: {3: [1]}", "grid: {~: [1]}", "rows: {a: {no: 1}}", "set: {3: 1}\ndrop: [gmp]"]
)
def test_a_path_of_a_spec_that_is_no_text_is_refused(text: str, tmp_path: Path) -> None:
    spec = load_spec(str(spec_of(tmp_path, text)))
    with pytest.raises(InputError, match="unknown field '(3|~|no)'"):
        spec.all_rows(spec.full_config(FULL, {}))


def test_a_spec_that_includes_itself_is_refused(tmp_path: Path) -> None:
    file = spec_of(tmp_path, "drop: [gmp]")
    file.write_text(f"rows_of: {file}")
    with pytest.raises(InputError, match="rows_of: .* has the key rows_of too; write its rows out"):
        load_spec(str(file)).all_rows(FULL)


def test_two_rows_of_one_name_are_refused() -> None:
    with pytest.raises(InputError, match="row -gmp: given twice"):
        merge_rows({"-gmp": {}}, {"-gmp": {}})


@pytest.mark.parametrize("name", sorted(path.stem for path in SPECS.glob("*.yaml")))
def test_the_rows_of_every_shipped_spec_are_different_configs(name: str) -> None:
    spec = load_spec(name)
    assert spec.question.endswith("?")
    for base in ("tiny", "base"):
        full = spec.full_config(preset(base), {})
        rows = spec.all_rows(full)
        configs = [full, *(apply(full, edits) for edits in rows.values())]
        assert len({digest(config) for config in configs}) == len(configs) > 1


def test_table4_has_the_rows_of_the_paper() -> None:
    assert list(load_spec("table4").all_rows(FULL)) == [BASELINE, "+cmkd", "+gmp"]


def test_all_row_keys_of_a_spec_by_hand(tmp_path: Path) -> None:
    text = """
question: Why?
seeds: 2
set: {adapt.lr: 0.001}
drop: [mlm]
sweep: {graph.propagate.k: [2]}
grid: {graph.propagate.k: [3, 4], distill.matching.delta: [0.1, 0.8]}
rows: {wide bank: {graph.memory.capacity: 512, graph.propagate: none}}
"""
    spec = load_spec(str(spec_of(tmp_path, text)))
    full = spec.full_config(FULL, {})
    assert (spec.seeds, full) == (2, apply(FULL, {"adapt.lr": 0.001}))
    rows = spec.all_rows(full)
    assert list(rows) == [
        "-mlm",
        "graph.propagate.k=2",
        "graph.propagate.k=3,distill.matching.delta=0.1",
        "graph.propagate.k=3,distill.matching.delta=0.8",
        "graph.propagate.k=4,distill.matching.delta=0.1",
        "graph.propagate.k=4,distill.matching.delta=0.8",
        "wide_bank",
    ]
    assert rows["graph.propagate.k=3,distill.matching.delta=0.8"] == {"graph.propagate.k": 3}  # delta is 0.8 already
    assert rows["wide_bank"] == {"graph.memory.capacity": 512, "graph.propagate": "none"}


def test_a_grid_leaves_out_the_rows_of_a_sweep(tmp_path: Path) -> None:
    """delta = 0.8 is that of the full config, so K = 2 with it is a row of the sweep, and K = 3 with it is new."""
    text = "sweep: {graph.propagate.k: [2]}\ngrid: {graph.propagate.k: [2, 3], distill.matching.delta: [0.1, 0.8]}"
    assert list(load_spec(str(spec_of(tmp_path, text))).all_rows(FULL)) == [
        "graph.propagate.k=2",
        "graph.propagate.k=2,distill.matching.delta=0.1",
        "graph.propagate.k=3,distill.matching.delta=0.1",
        "graph.propagate.k=3,distill.matching.delta=0.8",
    ]


@pytest.mark.parametrize("name", CHECKS)
def test_every_check_has_a_spec(name: str) -> None:
    assert load_spec(name).checks == (name,)


KEYS = "question, seeds, set, checks, drop, add, factorial, sweep, grid, rows, rows_of, ceiling, pairs, shift, each"
REFUSED = {
    "drop: [gmp]\nchecks: [graph]": [
        "checks.0: unknown value 'graph'; choose from graph_connectivity, teacher_transfer, sensitivity"
    ],
    "question: Why?": ["no rows; give at least one of drop, add, factorial, sweep, grid, rows, rows_of"],
    "drop: [gmp]\npairs: all\nshift: [0, 1]": ["pairs and shift exclude each other; keep one of them"],
    "- gmp": [f"not a mapping of keys to values; the keys are {KEYS}"],
    "drop: gmp": ["drop: 'gmp' is not a list, such as drop: [gmp, 'gmp,cmkd']"],
    "drop: []": ["drop: has 0 entries; at least 1 needed, such as drop: [gmp, 'gmp,cmkd']"],
    "drop: [gmp]\npairs: some": ["pairs: unknown value 'some'; choose from all"],
    "drop: [gmp]\nseeds: 0\nrow: {}": [
        f"unknown key 'row'; choose from {KEYS} (did you mean 'rows'?)",
        "seeds: 0 is outside its limit: >= 1",
    ],
    "sweep: {graph.propagate.k: 3}": [
        "sweep.graph.propagate.k: 3 is not a list, such as sweep: {graph.propagate.k: [2, 5]}"
    ],
    "rows: {wide: 3}": ["rows.wide: 3 is not a mapping, such as rows: {my-row: {graph.propagate.k: 5}}"],
    f"drop: [gmp]\nshift: {[0.5] * 101}": ["shift: 101 entries are outside their limit: <= 100"],
}


@pytest.mark.parametrize("text", REFUSED)
def test_refused_specs(text: str, tmp_path: Path) -> None:
    file = spec_of(tmp_path, text)
    with pytest.raises(InputError) as caught:
        load_spec(str(file))
    assert str(caught.value).splitlines() == [f"--spec {file}: {line}" for line in REFUSED[text]]


@pytest.mark.parametrize(
    ("rows", "message"),
    [
        ('{"..": {graph.propagate: none}}', ": label '..': starts or ends with a dot"),
        ('{".": {graph.propagate: none}}', ": label '.': starts or ends with a dot"),
        ('{"": {graph.propagate: none}}', ": label '': is empty"),
        ('{"/": {graph.propagate: none}}', ": label '_': is empty"),
        ('{"runs.parquet": {graph.propagate: none}}', ": label 'runs.parquet': is the name of a file"),
        ('{"%s": {graph.propagate: none}}' % ("long" * 60), "has 240 bytes; the limit is 200"),
    ],
)
def test_row_names_that_are_no_label_are_refused(rows: str, message: str, tmp_path: Path) -> None:
    spec = load_spec(str(spec_of(tmp_path, f"rows: {rows}")))
    with pytest.raises(InputError, match=message):
        spec.all_rows(FULL)


def test_edits_of_a_spec_are_checked(tmp_path: Path) -> None:
    spec = load_spec(str(spec_of(tmp_path, "set: {adapt.lr: 0.001}\nrows: {a: {adapt.steps: -1}}")))
    with pytest.raises(InputError, match=r"rows.a: adapt.steps: -1 is outside its limit"):
        spec.all_rows(FULL)


@pytest.mark.parametrize(
    ("given", "expected"),
    [
        ({}, {"adapt.lr": 0.001, "graph.propagate.k": 7}),
        ({"adapt.lr": 0.1}, {"adapt.lr": 0.1, "graph.propagate.k": 7}),
        ({"graph.propagate": "none"}, {"adapt.lr": 0.001, "graph.propagate": NoPropagation()}),
        ({"graph.propagate.layers": 1}, {"graph.propagate.k": 7, "graph.propagate.layers": 1}),
    ],
)
def test_an_edit_by_the_user_wins_over_one_of_the_spec(
    given: dict[str, Any], expected: dict[str, Any], tmp_path: Path
) -> None:
    text = "set: {adapt.lr: 0.001, graph.propagate: {kind: gnn, k: 7}}\ndrop: [cmkd]"
    if "graph.propagate" in given:  # an edit inside the component that the user replaces
        text = "set: {adapt.lr: 0.001, graph.propagate.k: 7}\ndrop: [cmkd]"
    base = apply(FULL, {"graph.propagate": "gnn"})
    config = load_spec(str(spec_of(tmp_path, text))).full_config(apply(base, given) if given else base, given)
    assert {path: value_at(config, path) for path in expected} == expected


def test_a_missing_spec_is_refused_with_the_names_of_the_others() -> None:
    with pytest.raises(InputError, match="--spec: unknown spec 'table5'; choose from .*table4"):
        load_spec("table5")


def test_rows_of_another_spec_are_included() -> None:
    rows, included = load_spec("cross_dataset").all_rows(FULL), load_spec("baselines").all_rows(FULL)
    assert rows == {"-gmp": drop_edits(frozenset({"gmp"}), FULL), **included}


@pytest.mark.parametrize(
    ("rows", "message"),
    [
        ("full: {graph.propagate.k: 3}", "row full: 'full' is the label of the full method"),
        (
            "k (2): {graph.propagate.k: 2}\n  k [2]: {graph.propagate.k: 3}",
            r"row k \[2\]: has the same label 'k_2_' as row k \(2\)",
        ),
    ],
)
def test_a_label_that_another_row_has_is_refused(tmp_path: Path, rows: str, message: str) -> None:
    with pytest.raises(InputError, match=message):
        load_spec(str(spec_of(tmp_path, f"rows:\n  {rows}\n"))).all_rows(FULL)


@pytest.mark.parametrize("edits", ["{graph.propagate.k: 3}", "{nosuch: 3}"])
def test_a_long_name_of_a_row_is_cut_in_the_message(tmp_path: Path, edits: str) -> None:
    with pytest.raises(InputError) as refusal:
        load_spec(str(spec_of(tmp_path, f"rows:\n  {'x' * 900}: {edits}\n"))).all_rows(FULL)
    assert max(len(word) for word in str(refusal.value).split()) <= 90


def test_a_key_given_twice_is_refused(tmp_path: Path) -> None:
    text = "rows:\n  a: {graph.propagate.k: 2}\n  a: {graph.propagate.k: 3}\n"
    with pytest.raises(InputError, match="line 3: the key 'a' is given twice"):
        load_spec(str(spec_of(tmp_path, text)))


@pytest.mark.parametrize("name", ["-gmp", "+cmkd", "baseline", "-gmp-cmkd", "+gmp", "-cmkd"])
def test_a_row_of_a_spec_has_the_label_of_an_option_only_with_its_edits(tmp_path: Path, name: str) -> None:
    """Else a table would print the published number of another row beside it."""
    with pytest.raises(InputError, match=f"row {name.replace('+', '.')}: this label is of the full method without"):
        load_spec(str(spec_of(tmp_path, f'rows: {{"{name}": {{graph.propagate.k: 3}}}}'))).all_rows(FULL)


def test_every_label_with_a_published_number_is_reserved() -> None:
    published = {row for rows in RANK_1.values() for row in rows}
    assert published - reserved_labels().keys() == {"full"}


def test_a_row_of_a_spec_may_write_out_the_edits_of_an_option(tmp_path: Path) -> None:
    spec = load_spec(str(spec_of(tmp_path, 'rows: {"-gmp": {graph.propagate: none}}')))
    assert apply(FULL, spec.all_rows(FULL)["-gmp"]) == apply(FULL, drop_edits(frozenset({"gmp"}), FULL))
