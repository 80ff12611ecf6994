"""The supervised row: it starts as every row does, trains on labelled target data, and is evaluated as every row is."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import torch

from gckd.ablations.reference_rows import supervised_edits
from gckd.cli.guard import run_command
from gckd.cli.train import evaluate
from gckd.config import Config, apply, config_text
from gckd.data.loaders import SourceLoader, TargetLoader
from gckd.errors import InputError
from gckd.method.banks import embed_clean
from gckd.method.step import SourceOnly
from gckd.progress import ProgressCallback
from gckd.storage.path import StoragePath
from gckd.training.adapt import prepare_adaptation
from gckd.training.load import load_student
from gckd.training.run import train_run
from gckd.training.search_trial import score_source_model, trial_evaluations
from gckd.training.target_evaluation import evaluate_checkpoint
from gckd.tune.space.space import read_space
from tests.toy import make_toy, shuffle_labels
from tests.training.micro import STEPS, differences, row, trained

QUIET: ProgressCallback = lambda progress: None  # noqa: E731
Train = Callable[[Config], dict[str, Any]]
REFUSED = "adapt.labels: 'target' reads target labels, which no search may use"


@pytest.fixture(scope="session")
def supervised(config: Config) -> Config:
    return apply(config, supervised_edits(config))


def test_the_batches_are_labelled_pairs_of_the_target(supervised: Config, cache: Path) -> None:
    """The toy's captions name their person, whose number is the identity."""
    adaptation = prepare_adaptation(supervised, cache, QUIET)
    target = adaptation.datasets.target.labelled("train")
    batch = adaptation.parts.feed.source.batch(0)
    captions = [target.captions[i] for i in batch.caption_rows]
    assert [f"person {identity}" in text for identity, text in zip(batch.identities, captions, strict=True)] == [
        True
    ] * 4
    assert batch.identities.tolist() == [int(target.image_identities[i]) for i in batch.image_rows]
    assert torch.equal(batch.images, adaptation.parts.feed.target.images_at(batch.image_rows))
    assert type(adaptation.step) is SourceOnly
    assert isinstance(adaptation.parts.feed.target, TargetLoader)


def test_it_starts_from_the_student_of_every_row(config: Config, supervised: Config, cache: Path) -> None:
    students = [prepare_adaptation(c, cache, QUIET).parts.student.state_dict() for c in (config, supervised)]
    assert differences(*students) == []


def test_the_warm_start_embeds_the_target_whatever_the_cache_holds(
    config: Config, supervised: Config, cache: Path
) -> None:
    """A warm start of another row is in the cache first; the expected embeddings are computed without a cache."""
    baseline = prepare_adaptation(row(config, "gmp", "cmkd"), cache, QUIET)
    baseline.step.warm_start(baseline.warm_start)
    adaptation = prepare_adaptation(supervised, cache, QUIET)
    adaptation.step.warm_start(adaptation.warm_start)
    parts = adaptation.parts
    for bank, kind in ((parts.banks.source_image, "images"), (parts.banks.source_text, "tokens")):
        rows = bank.rows[: len(bank)]
        given = getattr(parts.feed.target, f"{kind}_at")(rows)
        expected = embed_clean(parts.student, **{kind: given})[0 if kind == "images" else 1]
        assert torch.allclose(bank.filled(), expected, atol=1e-5)
    assert len(parts.banks.target_image) == len(parts.banks.target_text) == 0


def test_it_trains_for_the_same_steps_with_the_terms_of_the_source(
    config: Config, supervised: Config, finished: Train
) -> None:
    saved, baseline = finished(supervised), finished(row(config, "gmp", "cmkd"))
    assert saved["step"] == baseline["step"] == STEPS
    terms, expected = ({str(p["name"]) for p in s["curve"]} for s in (saved, baseline))
    assert terms == {name for name in expected if not name.startswith("source_val")}
    assert differences(saved["modules"]["student"], baseline["modules"]["student"])


def test_only_this_row_depends_on_target_labels(
    config: Config, supervised: Config, finished: Train, tmp_path: Path
) -> None:
    other = str(shuffle_labels(make_toy(tmp_path / "shuffled", shade=120), ["train"]))
    for c, is_equal in ((supervised, False), (row(config, "gmp", "cmkd"), True)):
        one, two = (finished(x)["modules"]["student"] for x in (c, apply(c, {"data.target": other})))
        assert (differences(one, two) == []) == is_equal


def test_no_source_sample_is_drawn_in_adaptation(
    supervised: Config, cache: Path, tmp_path: Path, finished: Train, monkeypatch: pytest.MonkeyPatch
) -> None:
    finished(supervised)  # so that the source model is cached
    sizes = []
    draw = SourceLoader.batch

    def spy(self: SourceLoader, step: int) -> Any:
        sizes.append(int(draw(self, step).images[0, 2].max()))
        return draw(self, step)

    monkeypatch.setattr(SourceLoader, "batch", spy)
    trained(supervised, cache, tmp_path)
    assert sizes == [120] * STEPS  # the blue of the target; that of the source is 0


def test_test_embeddings_are_centred_by_the_means_of_the_target(
    supervised: Config, cache: Path, tmp_path: Path
) -> None:
    trained(supervised, cache, tmp_path)
    student = load_student(supervised, tmp_path / "checkpoint.pt", cache)
    loader, model = student.feed.target, student.backbone
    images = embed_clean(model, images=loader.images_at(torch.arange(loader.image_count)))[0]
    texts = embed_clean(model, tokens=loader.tokens_at(torch.arange(loader.caption_count)))[1]
    means = student.retriever().means
    assert torch.allclose(means[0], images.mean(0), atol=1e-5) and torch.allclose(means[1], texts.mean(0), atol=1e-5)
    assert evaluate_checkpoint(supervised, tmp_path / "checkpoint.pt", cache).queries == 8


def test_no_search_can_use_it(config: Config, supervised: Config, cache: Path, tmp_path: Path) -> None:
    with pytest.raises(InputError, match=REFUSED):
        score_source_model(supervised, cache=cache, report=QUIET)
    with pytest.raises(InputError, match=REFUSED):
        next(trial_evaluations(supervised, cache=cache, out=StoragePath.at(tmp_path), report=QUIET))
    space = read_space("adapt.labels: {choice: [source, target]}")
    with pytest.raises(InputError, match=REFUSED):
        space.check(row(config, "gmp", "cmkd"), 99)


@pytest.mark.parametrize("labels", ["source", "target"])
def test_the_metrics_come_with_a_note_on_target_labels(
    config: Config, supervised: Config, labels: str, cache: Path, tmp_path: Path
) -> None:
    used = supervised if labels == "target" else config
    trained(used, cache, tmp_path)
    notes = evaluate_checkpoint(used, StoragePath.at(tmp_path) / "checkpoint.pt", cache).notes
    assert any("labelled train split of the target" in note for note in notes) == (labels == "target")


def test_evaluate_prints_the_notes_of_train_and_their_checkpoints(
    config: Config, supervised: Config, cache: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    """`train` prints the notes of `RunResult`; the last is about pre-training, which a checkpoint does not hold."""
    checkpoints = []
    note = "adapt.labels = target: a run with this setting trains on the labelled train split of the target"
    for name, run_config in (("supervised", supervised), ("full", config)):
        result = train_run(run_config, cache=cache, out=tmp_path / name)
        (tmp_path / name / "config.yaml").write_text(config_text(run_config))
        checkpoints.append(str(tmp_path / name / "checkpoint.pt"))
        assert list(result.notes[:-1]) == [note] * (name == "supervised")
    supervised_checkpoint, full_checkpoint = checkpoints
    expected = (
        ([supervised_checkpoint], note),
        (checkpoints, f"{supervised_checkpoint}: {note}"),
        ([full_checkpoint], ""),
    )
    for arguments, line in expected:
        with pytest.raises(SystemExit, match="0"):
            run_command(evaluate, ["--cache", str(cache), *arguments])
        text = " ".join(capsys.readouterr().out.split())
        assert text.endswith(line) if line else note not in text
