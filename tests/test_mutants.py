"""The mutation score counts a sample of the mutants; mutmut itself is not run."""

from __future__ import annotations

from rich.console import Console

from benchmarks.mutants import counts, module_of, sampled, score_table

NAMES = [f"gckd.graph.knn.x_nearest__mutmut_{number}" for number in range(1, 31)]


def test_a_larger_sample_begins_with_the_smaller_one() -> None:
    small, large = sampled(NAMES, 5, 0), sampled(NAMES, 20, 0)
    assert large[:5] == small and len(set(large)) == 20
    assert sampled(NAMES[::-1], 5, 0) == small  # whatever the order of the names
    assert sampled(NAMES, 5, 1) != small
    assert sorted(sampled(NAMES, 99, 0)) == sorted(NAMES)


def test_a_mutant_with_a_failed_or_late_test_is_killed() -> None:
    """Not run, survived, killed, without tests, killed by an error of pytest, timeout: 3 of 5 are killed."""
    assert counts([None, 0, 1, 33, 3, 36]) == ["5", "3", "1", "1", "60.0"]
    assert counts([None]) == ["0", "0", "0", "0", ""]


def test_table_of_modules_and_packages() -> None:
    method = "gckd.method.step.xǁSourceOnlyǁterms__mutmut_1"
    assert [module_of(name) for name in (NAMES[0], method)] == ["graph.knn", "method.step"]
    console = Console(width=90)
    with console.capture() as capture:
        console.print(score_table({"graph": dict(zip(NAMES, [1, 1, 0], strict=False)), "method": {method: 1}}))
    rows = [line.replace("│", " ").split() for line in capture.get().splitlines()]
    for row in (["graph.knn", "3", "2", "1", "0", "66.7"], ["graph", "3", "2", "1", "0", "66.7"]):
        assert row in rows
    assert ["method", "1", "1", "0", "0", "100.0"] in rows
