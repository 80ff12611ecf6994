"""Evaluation by propagated embeddings, in a run and from its checkpoint; test items do not affect each other."""

from __future__ import annotations

import dataclasses
from collections.abc import Sequence
from pathlib import Path

import pytest
import torch
from torch import Tensor

from gckd.config import Config, apply
from gckd.config.graph import Gnn
from gckd.data.dataset_pair import open_datasets
from gckd.errors import InputError
from gckd.evaluation.retrieval import Retriever
from gckd.graph.memory import centred
from gckd.graph.similarity import DirectSimilarity
from gckd.method.banks import embed_clean, train_means
from gckd.method.build import build_parts
from gckd.method.parts import Parts
from gckd.method.propagation import PROPAGATIONS, BankPropagation
from gckd.models.build import build_model
from gckd.storage.checkpoint import load_checkpoint
from gckd.storage.path import StoragePath
from gckd.training.load import checkpoint_config, evaluation_transform
from gckd.training.run import train_run
from gckd.training.target_evaluation import evaluate_checkpoint
from tests.dense import smoothed


def of_checkpoint(config: Config, cache: Path, checkpoint: Path) -> tuple[Parts, Retriever]:
    """Parts of a finished run, and its retriever."""
    datasets = open_datasets(config, cache)
    feed = datasets.feed(config, config.adapt.batch)
    parts = build_parts(config, feed, build_model(config, datasets.tokenizer.vocabulary))
    for name, state in load_checkpoint(checkpoint)["modules"].items():
        parts.stateful()[name].load_state_dict(state)
    means = train_means(parts.student, feed.target, config.centre)
    return parts, Retriever(parts.student.eval(), config.evaluate, means, evaluation_transform(parts))


@pytest.fixture(scope="module")
def propagated(config: Config) -> Config:
    return apply(config, {"evaluate.propagate": True})


@pytest.fixture(scope="module")
def folder(propagated: Config, cache: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Of a finished run."""
    out = tmp_path_factory.mktemp("propagated")
    train_run(propagated, cache=cache, out=out)
    return out


def brute(parts: Parts, item: Tensor, source: Tensor, target: Tensor) -> Tensor:
    """Embedding of one item as an added node that is no other node's neighbour, by brute force."""
    config = parts.config.graph.propagate
    assert isinstance(config, Gnn)
    banks = torch.cat([centred(bank, bank.mean(0)) for bank in (source, target)])
    linked = torch.ones(len(banks) + 1, len(banks) + 1, dtype=torch.bool)
    linked[:, -1] = False
    return smoothed(torch.cat((banks, item[None])), config, linked)[-1]


def test_a_test_item_is_embedded_as_an_added_node(propagated: Config, cache: Path, folder: Path) -> None:
    parts, retriever = of_checkpoint(propagated, cache, folder / "checkpoint.pt")
    data = open_datasets(propagated, cache).target
    test = open_datasets(propagated, cache).labelled(data, "test", propagated.data)
    banks = parts.banks
    images, texts = retriever.embed_images(test.images), retriever.embed_captions(test.tokens)
    image, _ = embed_clean(parts.student, images=test.images[2:3])
    _, text = embed_clean(parts.student, tokens=test.tokens[5:6])
    for result, own, mean, pair in (
        (images[2], image, retriever.means[0], (banks.source_image, banks.target_image)),
        (texts[5], text, retriever.means[1], (banks.source_text, banks.target_text)),
    ):
        expected = brute(parts, centred(own, mean)[0], pair[0].filled(), pair[1].filled())
        torch.testing.assert_close(result, expected, atol=1e-4, rtol=0)


def test_an_embedding_does_not_depend_on_other_test_items(propagated: Config, cache: Path, folder: Path) -> None:
    _, retriever = of_checkpoint(propagated, cache, folder / "checkpoint.pt")
    datasets = open_datasets(propagated, cache)
    test = datasets.labelled(datasets.target, "test", propagated.data)
    some = dataclasses.replace(test, images=test.images[1:3], tokens=test.tokens[4:6])
    torch.testing.assert_close(retriever.scores(some), retriever.scores(test)[4:6, 1:3])


def test_a_checkpoint_gives_the_metrics_of_its_run_with_and_without_propagation(
    propagated: Config, cache: Path, folder: Path
) -> None:
    _, retriever = of_checkpoint(propagated, cache, folder / "checkpoint.pt")
    datasets = open_datasets(propagated, cache)
    expected = retriever.ranking(datasets.labelled(datasets.target, "val", propagated.data)).metrics()
    assert evaluate_checkpoint(propagated, folder / "checkpoint.pt", cache, "val").metrics == expected
    raw = apply(propagated, {"evaluate.propagate": False})
    plain = Retriever(retriever.model, raw.evaluate, retriever.means)
    expected = plain.ranking(datasets.labelled(datasets.target, "val", raw.data)).metrics()
    assert evaluate_checkpoint(raw, folder / "checkpoint.pt", cache, "val").metrics == expected


def test_a_checkpoint_of_other_banks_is_refused(propagated: Config, cache: Path, folder: Path) -> None:
    other = apply(propagated, {"graph.memory.capacity": 6})
    with pytest.raises(InputError, match="does not hold the student of this config") as caught:
        evaluate_checkpoint(other, folder / "checkpoint.pt", cache)
    assert "\n" not in str(caught.value)
    assert "size mismatch for" in str(caught.value)


def test_a_folder_in_place_of_a_checkpoint_names_the_checkpoint(folder: Path) -> None:
    expected = f"{folder}: is a folder; give a checkpoint file such as {folder / 'checkpoint.pt'}"
    with pytest.raises(InputError) as caught:
        checkpoint_config(StoragePath.at(folder))
    assert str(caught.value) == expected


class NoWeights:
    """A propagation that is no module, as a plugin may be; embeddings do not change."""

    def __call__(self, banks: Sequence[Tensor], positions: Sequence[Tensor]) -> Sequence[Tensor]:
        return [bank[rows] for bank, rows in zip(banks, positions, strict=True)]

    def join(self, banks: Sequence[Tensor], bank: int, items: Tensor) -> Tensor:
        return items


def test_a_propagation_without_weights_is_evaluated(
    propagated: Config, cache: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def build(node: Gnn, width: int) -> BankPropagation:
        return BankPropagation(NoWeights(), DirectSimilarity())

    monkeypatch.setitem(PROPAGATIONS._builders, Gnn, build)
    train_run(propagated, cache=cache, out=tmp_path)
    metrics = evaluate_checkpoint(propagated, tmp_path / "checkpoint.pt", cache, "val").metrics
    plain = apply(propagated, {"evaluate.propagate": False})
    assert metrics == evaluate_checkpoint(plain, tmp_path / "checkpoint.pt", cache, "val").metrics
