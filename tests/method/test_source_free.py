"""Source-free adaptation: the summary of the source, and the step that reads it."""

from __future__ import annotations

import dataclasses
from pathlib import Path
from typing import Any

import pytest
import torch
from torch import Tensor

from gckd.config.distill import NoMatching
from gckd.method.banks import LabelledEmbeddings
from gckd.method.build import build_step
from gckd.method.source_free import SourceSummary, prototypes, summarise_source
from gckd.method.step import CrossDomain
from gckd.method.warm_start import WarmStart, warm_start_order
from gckd.storage.cache import CachePath
from tests.method.domains import CAPTIONS, IMAGES, TinyBackbone, TwoDomains, clean

STEP = 2


def summary_of(domains: TwoDomains, kind: str, folder: Path) -> SourceSummary:
    source: Any = domains.source
    return summarise_source(kind, TinyBackbone(5), lambda: source, CachePath.at(folder) / "summary.pt")


def means_by_loops(embeddings: Tensor, identities: Tensor) -> tuple[Tensor, list[int]]:
    order = sorted(set(identities.tolist()))
    means = [
        torch.stack([z for z, i in zip(embeddings, identities, strict=True) if i == identity]).sum(0)
        for identity in order
    ]
    return torch.stack([mean / mean.norm() for mean in means]), order


@pytest.mark.parametrize("kind", ["banks", "prototypes", "none"])
def test_summary_of_the_source(kind: str, tmp_path: Path) -> None:
    domains = TwoDomains()
    summary = summary_of(domains, kind, tmp_path)
    images, texts = clean(TinyBackbone(5), domains.source)
    for part, embeddings, identities in (
        (summary.images, images, domains.source.image_identities),
        (summary.texts, texts, domains.source.caption_identities),
    ):
        if kind == "prototypes":
            embeddings, identities = means_by_loops(embeddings, identities)[0], identities.unique()
        size = 0 if kind == "none" else len(identities)
        torch.testing.assert_close(part.embeddings, embeddings[:size])
        assert part.identities.tolist() == identities[:size].tolist()
    assert summary.words.tolist() == domains.source.words.tolist()
    assert (summary.image_count, summary.caption_count) == {
        "banks": (IMAGES, CAPTIONS),
        "prototypes": (4, 4),
        "none": (0, 0),
    }[kind]


def test_a_summary_is_computed_once(tmp_path: Path) -> None:
    domains = TwoDomains()
    first = summary_of(domains, "banks", tmp_path)

    def refuse() -> Any:
        raise AssertionError("the source was opened")

    again = summarise_source("banks", TinyBackbone(6), refuse, CachePath.at(tmp_path) / "summary.pt")
    assert torch.equal(again.images.embeddings, first.images.embeddings)
    assert torch.equal(again.texts.identities, first.texts.identities)


def test_a_summary_has_no_samples(tmp_path: Path) -> None:
    summary = summary_of(TwoDomains(), "banks", tmp_path)
    text = "^source samples are not available during adaptation unless adapt.source = samples$"
    with pytest.raises(RuntimeError, match=text):
        summary.batch(0)
    with pytest.raises(RuntimeError, match=text):
        _ = summary.steps_per_epoch


def test_prototypes_equal_loops() -> None:
    embeddings = clean(TinyBackbone(5), TwoDomains().source)[0]
    identities = torch.tensor([9, 2, 9, 4, 2, 9, 1])
    result = prototypes(LabelledEmbeddings(embeddings, identities))
    expected, order = means_by_loops(embeddings, identities)
    torch.testing.assert_close(result.embeddings, expected)
    assert result.identities.tolist() == order


def test_prototypes_are_normalised_means_per_identity() -> None:
    entries = LabelledEmbeddings(torch.tensor([[1.0, 0.0], [0.0, 1.0], [0.0, 1.0]]), torch.tensor([7, 3, 7]))
    result = prototypes(entries)
    half = 0.5**0.5
    assert result.identities.tolist() == [3, 7]
    torch.testing.assert_close(result.embeddings, torch.tensor([[0.0, 1.0], [half, half]]))


def test_terms_are_those_of_the_target_alone(tmp_path: Path) -> None:
    """The target terms equal those of the step with source samples, whose source banks hold the same embeddings."""
    edits = {"distill.matching": NoMatching(), "graph.memory.capacity": 9}
    domains = TwoDomains(edits | {"adapt.source": "banks"})
    parts = domains.parts(domains.feed_of(summary_of(domains, "banks", tmp_path)))
    arguments: list[Any] = []

    def selfsup(*values: Any) -> dict[str, Tensor]:
        arguments.extend(values)
        return {"selfsup": torch.ones(())}

    step = build_step(dataclasses.replace(parts, selfsup=selfsup))
    step.warm_start(WarmStart())
    order = warm_start_order("source-image", domains.config.seed, IMAGES)
    assert parts.banks.source_image.rows.tolist() == order.tolist()
    before = parts.banks.source_image.embeddings.clone(), parts.banks.source_text.embeddings.clone()
    terms = step.terms(STEP)
    assert set(terms) == {"target_contrastive", "selfsup"}
    torch.testing.assert_close(before, (parts.banks.source_image.embeddings, parts.banks.source_text.embeddings))

    domains = TwoDomains(edits)
    with_samples = domains.parts()
    images, texts = clean(TinyBackbone(5), domains.source)
    with_samples.banks.fill_source(
        LabelledEmbeddings(images, domains.source.image_identities),
        LabelledEmbeddings(texts, domains.source.caption_identities),
        domains.config.seed,
    )
    assert type(build_step(with_samples)) is CrossDomain
    with_samples.banks.warm_start_target(
        with_samples.teacher.model(), domains.feed.target, domains.config.seed, WarmStart()
    )
    # The source batch is pushed with the embeddings that its rows have already.
    with_samples.banks._store_source = lambda embeddings, batch: (
        batch.image_rows,
        batch.caption_rows,
    )
    expected = CrossDomain(with_samples).terms(STEP)["target_contrastive"]
    torch.testing.assert_close(terms["target_contrastive"], expected)
    target, student, space, positions, number = arguments
    assert torch.equal(target.image_rows, domains.target.batch(STEP).image_rows) and number == STEP
    assert [len(part) for part in positions] == [0, 0, 3, 3]
    assert len(student.image) == 3 and len(space.source_image) == IMAGES
