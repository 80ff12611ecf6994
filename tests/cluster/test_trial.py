"""Search trial: epochs, checkpoint of the best epoch, resuming, and independence of target labels."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
import torch

from gckd.cluster.trial import BEST, ORACLE, Search, results, results_or_reason, source_model
from gckd.cluster.trial_audit import true_metrics
from gckd.config import Config, apply
from gckd.errors import InputError
from gckd.storage.checkpoint import load_checkpoint
from gckd.storage.path import StoragePath
from gckd.training.load import CHECKPOINT, checkpoint_config
from gckd.training.target_evaluation import evaluate_checkpoint
from gckd.validators import epoch_score
from tests.toy import make_toy, shuffle_labels
from tests.training.micro import differences, micro

EPOCHS = 4
EDITS = {"graph.propagate.k": 2, "distill.teacher.m": 0.5}


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    torch.set_num_threads(1)
    return tmp_path_factory.mktemp("trials")


@pytest.fixture(scope="module")
def base(folder: Path) -> Config:
    toys = make_toy(folder / "source"), make_toy(folder / "target", shade=120)
    return apply(micro(*toys), {"adapt.evaluations": EPOCHS})


def search_of(base: Config, folder: Path, select: str = "default", seeds: tuple[int, ...] = (3,)) -> Search:
    bare = Search(base, folder / "cache", select, threads=1, start={})
    return Search(base, bare.cache, select, 1, start={seed: source_model(bare, seed).scores for seed in seeds})


def trial_in(folder: Path, seeds: tuple[int, ...] = (3,)) -> dict[str, Any]:
    return {"edits": EDITS, "number": 7, "folder": str(folder), "seeds": list(seeds)}


def without_time(result: dict[str, Any]) -> dict[str, Any]:
    return {name: value for name, value in result.items() if name not in ("seconds", "memory_gib")}


@pytest.fixture(scope="module")
def finished(base: Config, folder: Path) -> list[dict[str, Any]]:
    """All results of a trial."""
    return list(results(search_of(base, folder), trial_in(folder / "whole")))


def test_epochs_are_numbered_and_the_last_is_marked(finished: list[dict[str, Any]]) -> None:
    assert [result["epoch"] for result in finished] == [1, 2, 3, 4]
    assert [result["done_all"] for result in finished] == [False, False, False, True]
    seconds = [result["seconds"] for result in finished]
    assert seconds == sorted(seconds)


def test_the_score_is_the_selected_one(base: Config, folder: Path, finished: list[dict[str, Any]]) -> None:
    start = search_of(base, folder).start[3]
    assert [r["score"] for r in finished] == [epoch_score(r["scores"], start, "default") for r in finished]


def test_the_kept_checkpoint_is_of_the_best_epoch(base: Config, folder: Path, finished: list[dict[str, Any]]) -> None:
    best = max(finished, key=lambda result: result["score"])["epoch"]
    step = base.adapt.steps * best // EPOCHS
    assert load_checkpoint(folder / "whole" / "seed-3" / BEST)["step"] == step


@pytest.mark.parametrize("stop", [1, 3])
def test_an_interrupted_trial_resumes(
    base: Config, folder: Path, tmp_path: Path, finished: list[dict[str, Any]], stop: int
) -> None:
    """It yields its earlier epochs again, and ends with the same weights and the same kept checkpoint."""
    search, trial = search_of(base, folder), trial_in(tmp_path / "trial")
    first = results(search, trial)
    for _ in range(stop):
        next(first)
    first.close()  # type: ignore[attr-defined]  # a generator
    again = list(results(search, trial))
    assert list(map(without_time, again)) == list(map(without_time, finished))
    for name in (CHECKPOINT, BEST):
        one, two = (load_checkpoint(root / "seed-3" / name) for root in (tmp_path / "trial", folder / "whole"))
        assert differences(one["modules"], two["modules"]) == []


def test_a_lost_best_checkpoint_is_written_again(base: Config, folder: Path, tmp_path: Path) -> None:
    search, trial = search_of(base, folder), trial_in(tmp_path)
    first = results(search, trial)
    next(first)
    (tmp_path / "seed-3" / BEST).unlink()
    next(results(search, trial))
    assert load_checkpoint(tmp_path / "seed-3" / BEST)["step"] == 1


def test_several_seeds_are_averaged(base: Config, folder: Path, tmp_path: Path, finished: list[dict[str, Any]]) -> None:
    both = list(results(search_of(base, folder, seeds=(3, 4)), trial_in(tmp_path / "both", (3, 4))))
    other = list(results(search_of(base, folder, seeds=(4,)), trial_in(tmp_path / "other", (4,))))
    for mean, one, two in zip(both, finished, other, strict=True):
        assert mean["score"] == pytest.approx((one["score"] + two["score"]) / 2)
        for name, score in mean["scores"].items():
            assert score == pytest.approx((one["scores"][name] + two["scores"][name]) / 2)
    # The path of a checkpoint is enough for `gckd find`, `gckd demo` and `gckd.load`: its config is beside it.
    configs = [checkpoint_config(StoragePath.at(tmp_path / "both" / f"seed-{seed}" / BEST)) for seed in (3, 4)]
    assert configs == [apply(base, EDITS), apply(base, {**EDITS, "seed": 4})]


def test_oracle_selects_by_target_labels(base: Config, folder: Path, tmp_path: Path) -> None:
    search, trial = search_of(base, folder, ORACLE), trial_in(tmp_path)
    resulting = list(results(search, trial))
    config = apply(base, EDITS)
    last = evaluate_checkpoint(config, tmp_path / "seed-3" / CHECKPOINT, search.cache, "val").metrics["rank_1"]
    assert resulting[-1]["score"] == last
    assert [r["score"] for r in results(search, trial)] == [r["score"] for r in resulting]


def test_the_audit_gives_metrics_on_two_halves_of_the_identities(
    base: Config, folder: Path, finished: list[dict[str, Any]]
) -> None:
    search, trial = search_of(base, folder), trial_in(folder / "whole")
    metrics = true_metrics(search, trial, "val")
    ranking = evaluate_checkpoint(apply(base, EDITS), folder / "whole" / "seed-3" / BEST, search.cache, "val").ranking
    identities = sorted(set(ranking.identity.tolist()))
    for name, half in (("half_a", identities[::2]), ("half_b", identities[1::2])):
        queries = [number for number, identity in enumerate(ranking.identity.tolist()) if identity in half]
        ranks, precisions = ([column[n].item() for n in queries] for column in (ranking.rank, ranking.ap))
        assert metrics[f"rank_1_{name}"] == pytest.approx(100 * ranks.count(1) / len(queries))
        assert metrics[f"map_{name}"] == pytest.approx(100 * sum(precisions) / len(queries))


def test_target_labels_change_the_audit_and_no_trial(
    base: Config, folder: Path, tmp_path: Path, finished: list[dict[str, Any]]
) -> None:
    toy = shuffle_labels(make_toy(tmp_path / "relabelled", shade=120), ["train", "val", "test"])
    other = apply(base, {"data.target": str(toy)})
    search, trial = search_of(other, folder), trial_in(tmp_path / "trial")
    relabelled = list(results(search, trial))
    assert list(map(without_time, relabelled)) == list(map(without_time, finished))
    one, two = (load_checkpoint(root / "seed-3" / BEST) for root in (tmp_path / "trial", folder / "whole"))
    assert differences(one["modules"], two["modules"]) == []
    audits = [
        true_metrics(s, g, split)
        for s, g in ((search, trial), (search_of(base, folder), trial_in(folder / "whole")))
        for split in ("val", "test")
    ]
    assert audits[:2] != audits[2:]


def test_a_checkpoint_of_another_trial_with_the_same_number_is_removed(
    base: Config, folder: Path, finished: list[dict[str, Any]]
) -> None:
    """A study in an object store can lose its last trials with its machine; their numbers are then drawn again."""
    search, trial = search_of(base, folder), trial_in(folder / "again")
    list(results(search, trial | {"edits": {"graph.propagate.k": 3}}))
    drawn_again = list(results(search, trial))
    assert list(map(without_time, drawn_again)) == list(map(without_time, finished))


def test_a_trial_names_the_data_that_it_lost(
    base: Config, folder: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def fail(search: Search, trial: dict[str, Any]) -> Iterator[dict[str, Any]]:
        raise InputError("no image")
        yield {}

    monkeypatch.setattr("gckd.cluster.trial.results", fail)
    source = make_toy(tmp_path / "source")
    search = Search(apply(base, {"data.source": str(source)}), folder / "cache", "default", threads=1, start={})
    source.rename(tmp_path / "away")
    (result,) = results_or_reason(search, trial_in(tmp_path / "trial"))
    assert result["reason"] == "InputError: no image"
    assert result["lost_input"].startswith("data.source: lost after the start: ")
    assert str(source) in result["lost_input"]


@pytest.mark.parametrize("error", [FloatingPointError("adapt step 3: the loss is not finite"), InputError("K is 9")])
def test_a_trial_that_cannot_be_trained_gives_the_reason(
    base: Config, folder: Path, monkeypatch: pytest.MonkeyPatch, error: Exception
) -> None:
    def one_epoch(search: Search, trial: dict[str, Any]) -> Iterator[dict[str, Any]]:
        yield {"epoch": 1}
        raise error

    monkeypatch.setattr("gckd.cluster.trial.results", one_epoch)
    yielded = list(results_or_reason(search_of(base, folder), trial_in(folder / "failing")))
    assert yielded == [
        {"epoch": 1},
        {"reason": f"{type(error).__name__}: {error}", "lost_input": "", "done_all": False},
    ]
