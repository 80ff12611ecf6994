"""Rows without a memory: the banks of a domain hold only the newest batch, and the graph is over it."""

from __future__ import annotations

from pathlib import Path

import pytest
import torch

from gckd.config import Config, apply
from gckd.data.dataset_pair import open_datasets
from gckd.graph.memory import centred
from gckd.method.banks import embed_clean
from gckd.method.build import build_parts
from gckd.method.parts import Parts
from gckd.method.step import CrossDomain
from gckd.method.warm_start import WarmStart
from gckd.models.build import build_model
from tests.dense import smoothed


def warm_parts(config: Config, cache: Path) -> Parts:
    """Parts around an untrained model, their banks filled."""
    datasets = open_datasets(config, cache)
    feed = datasets.feed(config, config.adapt.batch)
    parts = build_parts(config, feed, build_model(config, datasets.tokenizer.vocabulary))
    CrossDomain(parts).warm_start(WarmStart())
    return parts


@pytest.mark.parametrize(("source", "target"), [(False, True), (True, False), (False, False)])
def test_without_a_memory_the_banks_hold_the_batch(config: Config, cache: Path, source: bool, target: bool) -> None:
    edits = {f"graph.memory.{name}": False for name, on in (("source", source), ("target", target)) if not on}
    parts = warm_parts(apply(config, edits), cache)
    for step in range(8):  # over the end of an epoch of three steps
        batches = parts.feed.source.batch(step), parts.feed.target.batch(step)
        parts.banks.push(parts.teacher.model(), *batches)
        rows = [rows for batch in batches for rows in (batch.image_rows, batch.caption_rows)]
        for bank, expected, remembers in zip(parts.banks.all(), rows, (source, source, target, target), strict=True):
            held = bank.rows.tolist()
            assert len(held) == len(bank) == (7 if remembers else 4)
            assert set(held) >= set(expected.tolist())


def test_the_graph_is_over_the_batch_and_the_other_domains_memory(config: Config, cache: Path) -> None:
    config = apply(config, {"graph.memory.source": False})
    parts = warm_parts(config, cache)
    step, batch = CrossDomain(parts), parts.feed.source.batch(0)
    entries = parts.banks.push(parts.teacher.model(), batch, parts.feed.target.batch(0))
    known = step.propagate(parts.banks.space(centre=True).banks, entries, with_source=True)
    images, _ = embed_clean(parts.teacher.model(), batch.images)
    memory = parts.banks.target_image.embeddings
    nodes = torch.cat((centred(images, images.mean(0)), centred(memory, memory.mean(0))))
    assert len(nodes) == 4 + 7
    expected = smoothed(nodes, config.graph.propagate)  # type: ignore[arg-type]
    torch.testing.assert_close(known.source_image, expected[:4], atol=1e-5, rtol=0)
    torch.testing.assert_close(known.target_image, expected[4 + entries.target_image], atol=1e-5, rtol=0)
