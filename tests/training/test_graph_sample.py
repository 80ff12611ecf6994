"""Graph sample for a figure: its nodes and edges are those of the graph, and both domains are in it."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
import torch
from torch.nn import functional as F

from gckd.config import Config, apply
from gckd.config.graph import Diffusion
from gckd.errors import InputError
from gckd.training import graph_sample as module
from gckd.training.graph_sample import sample_graphs, save_graph_sample
from tests.training.micro import row, trained
from tests.training.test_curves import neighbours


def checkpoint_of(banks: dict[str, torch.Tensor], file: Path) -> Path:
    """Checkpoint that holds only half-filled banks."""
    state: dict[str, torch.Tensor] = {}
    for name, embeddings in banks.items():
        state |= {f"{name}.embeddings": torch.cat((embeddings, torch.zeros_like(embeddings)))}
        state |= {f"{name}.count": torch.tensor(len(embeddings))}
    torch.save({"modules": {"banks": state}}, file)
    return file


@pytest.mark.parametrize("wanted", [8, 240])
def test_every_sampled_edge_is_an_edge_of_the_graph(
    config: Config, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, wanted: int
) -> None:
    monkeypatch.setattr(module, "NODES", wanted)
    random = torch.Generator().manual_seed(0)
    names = [f"{side}_{modality}" for modality in ("image", "text") for side in ("source", "target")]
    banks = {name: F.normalize(torch.randn(12, 5, generator=random), dim=1) for name in names}
    result = sample_graphs(config, checkpoint_of(banks, tmp_path / "checkpoint.pt"))
    for modality in ("image", "text"):
        both = (banks[f"source_{modality}"], banks[f"target_{modality}"])
        everyone = torch.cat([F.normalize(bank - bank.mean(0), dim=1) for bank in both])
        near = neighbours(everyone, 3)
        nodes, target, edges = (result[f"{modality}_{name}"] for name in ("nodes", "target", "edges"))
        place = [int((torch.from_numpy(node) @ everyone.T).argmax()) for node in nodes]
        assert [p >= 12 for p in place] == target.tolist()
        sampled = {(place[a], place[b]) for a, b in edges.tolist()}
        assert sampled == {(i, j) for i in place for j in near[i] if j in place}
        assert {True, False} == set(target.tolist())
        assert (len(nodes) == 24) == (wanted == 240)


def test_a_graph_of_the_target_alone_has_no_source_node(config: Config, cache: Path, tmp_path: Path) -> None:
    config = apply(config, {"graph.propagate": Diffusion(k=2)})
    trained(config, cache, tmp_path)
    save_graph_sample(config, tmp_path / "checkpoint.pt", tmp_path)
    with np.load(tmp_path / module.FILE) as arrays:
        assert arrays["image_target"].all() and arrays["text_target"].all()


def test_no_file_without_a_graph_and_an_error_without_a_checkpoint(config: Config, cache: Path, tmp_path: Path) -> None:
    config = row(config, "gmp")
    trained(config, cache, tmp_path)
    save_graph_sample(config, tmp_path / "checkpoint.pt", tmp_path)
    assert not (tmp_path / module.FILE).exists()
    (tmp_path / "broken.pt").write_text("weights")
    with pytest.raises(InputError, match=r"broken.pt: not a gckd checkpoint"):
        sample_graphs(config, tmp_path / "broken.pt")
