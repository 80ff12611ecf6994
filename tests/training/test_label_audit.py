"""Audit of pseudo labels, compared with loops over the bank."""

from __future__ import annotations

import math
from pathlib import Path

import pytest
import torch
from torch.nn import functional as F

from gckd.config import Config, apply
from gckd.data.dataset_pair import open_datasets
from gckd.errors import InputError
from gckd.method.banks import embed_clean
from gckd.method.unseen_words import mask_unseen_words
from gckd.models.build import build_model
from gckd.training.label_audit import audit_pseudo_labels
from gckd.training.pretrain import source_checkpoint
from tests.training.micro import row, trained


def silent(_: object) -> None:
    """Progress callback that does nothing."""


@pytest.fixture
def wide(config: Config) -> Config:
    """Config with banks that hold every example, and unmodified softmax targets."""
    edits = {"graph.memory.capacity": 100, "distill.targets.agree": False, "distill.targets.sharpen": 1.0}
    return apply(config, edits)


def test_precision_without_a_graph_equals_loops(wide: Config, cache: Path) -> None:
    result = {(f.graph, f.direction): f for f in audit_pseudo_labels(wide, cache=cache, report=silent)}
    assert len(result) == 6
    datasets = open_datasets(wide, cache)
    feed, model = datasets.feed(wide, 4), build_model(wide, datasets.tokenizer.vocabulary)
    model.load_state_dict(source_checkpoint(wide, datasets, cache, silent)["modules"]["model"])
    mask_unseen_words(wide.tokenizer, model, feed)
    model.eval()
    images, _ = embed_clean(model, images=feed.target.images_at(torch.arange(feed.target.image_count)))
    _, texts = embed_clean(model, tokens=feed.target.tokens_at(torch.arange(feed.target.caption_count)))
    images, texts = F.normalize(images - images.mean(0), dim=1), F.normalize(texts - texts.mean(0), dim=1)
    labels = datasets.target.labelled("train")
    hits, mass = [], []
    for image, identity in zip(images, labels.image_identities, strict=True):
        scores = [float(image @ text) / float(model.tau.detach()) for text in texts]
        total = sum(math.exp(s) for s in scores)
        same = [int(other) == int(identity) for other in labels.caption_identities]
        hits.append(same[max(range(len(scores)), key=scores.__getitem__)])
        mass.append(sum(math.exp(s) for s, right in zip(scores, same, strict=True) if right) / total)
    plain = result["none", "image to caption"]
    assert plain.precision == pytest.approx(sum(hits) / len(hits))
    assert plain.mass == pytest.approx(sum(mass) / len(mass), rel=1e-4)
    assert sum(plain.by_entropy) / 4 == pytest.approx(plain.precision)  # 12 images: four groups of three


def test_a_checkpoint_can_be_audited(config: Config, cache: Path, tmp_path: Path) -> None:
    trained(config, cache, tmp_path)
    result = audit_pseudo_labels(config, cache=cache, report=silent, checkpoint=tmp_path / "checkpoint.pt")
    assert {f.graph for f in result} == {"none", "gnn", "diffusion"}
    assert all(0 <= f.precision <= 1 and 0 <= f.mass <= 1 for f in result)
    other = apply(config, {"graph.memory.capacity": 6})
    with pytest.raises(InputError, match="does not hold the banks of this config"):
        audit_pseudo_labels(other, cache=cache, report=silent, checkpoint=tmp_path / "checkpoint.pt")


def test_an_audit_without_pseudo_labels_is_refused(config: Config, cache: Path) -> None:
    with pytest.raises(InputError, match="has no pseudo labels"):
        audit_pseudo_labels(row(config, "gmp", "cmkd"), cache=cache, report=silent)
