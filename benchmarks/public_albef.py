"""ALBEF's public retrieval model, from a checkout, with random weights.

Its code was written for timm 0.4.9 and transformers 4.8.1, which this environment does not have. `_replacements` has
the few names of them that it uses. They compute the same.
"""

from __future__ import annotations

import importlib
import os
import sys
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from types import ModuleType
from typing import Any
from unittest import mock

import torch
import torch.distributed as dist
from torch import Tensor, nn
from torch._C._distributed_c10d import HashStore
from transformers import BertConfig
from transformers.utils.generic import ModelOutput

TEMPERATURE, MOMENTUM, WIDTH = 0.07, 0.995, 256  # configs/Retrieval_flickr.yaml


class _PatchEmbedding(nn.Module):
    """`PatchEmbed` of timm: a strided convolution, flattened to [B, N, d]."""

    def __init__(self, img_size: int, patch_size: int, in_chans: int, embed_dim: int) -> None:
        super().__init__()
        self.num_patches = (img_size // patch_size) ** 2
        self.proj = nn.Conv2d(in_chans, embed_dim, kernel_size=patch_size, stride=patch_size)

    def forward(self, images: Tensor) -> Tensor:
        patches: Tensor = self.proj(images).flatten(2).transpose(1, 2)
        return patches


class _PreTrainedModel(nn.Module):
    """`PreTrainedModel` of transformers 4.8.1, as far as the text encoder uses it; `from_pretrained` loads nothing."""

    dtype = torch.float32

    def __init__(self, config: BertConfig) -> None:
        super().__init__()
        self.config = config

    @classmethod
    def from_pretrained(cls, _: object, config: BertConfig, **options: Any) -> _PreTrainedModel:
        return cls(config, **options)

    def _init_weights(self, module: nn.Module) -> None:
        raise NotImplementedError  # the checkout's class has it

    def init_weights(self) -> None:
        self.apply(self._init_weights)

    def get_head_mask(self, _: None, layers: int) -> list[None]:
        return [None] * layers

    def invert_attention_mask(self, mask: Tensor) -> Tensor:
        return (1.0 - mask[:, None, None, :].to(self.dtype)) * -1e9


def public_model(checkout: Path, size: int, queue: int) -> nn.Module:
    """`ALBEF` of `models/model_retrieval.py` of salesforce/ALBEF (b9727e4), for images of `size` x `size`.

    It gathers its queue from all workers, so a process group must exist; see `single_worker`.
    """
    with _importable(checkout):
        albef = importlib.import_module("models.model_retrieval").ALBEF
        config = {"image_res": size, "queue_size": queue, "bert_config": str(checkout / "configs" / "config_bert.json")}
        config |= {"distill": True, "embed_dim": WIDTH, "vision_width": 768, "temp": TEMPERATURE, "momentum": MOMENTUM}
        model: nn.Module = albef(text_encoder="", tokenizer=None, config=config)
    return model


@contextmanager
def single_worker() -> Iterator[None]:
    """A process group of this process alone."""
    dist.init_process_group("gloo", store=HashStore(), rank=0, world_size=1)
    try:
        yield
    finally:
        dist.destroy_process_group()


@contextmanager
def _importable(checkout: Path) -> Iterator[None]:
    """Context in which `models` is the package of the checkout."""
    search = [os.fspath(checkout), *sys.path]
    with mock.patch.dict(sys.modules, _replacements()), mock.patch.object(sys, "path", search):
        yield


def _replacements() -> dict[str, ModuleType]:
    """Modules of timm and transformers by name."""

    def undecorated(*_: object, **__: object) -> Callable[[Any], Any]:
        return lambda function: function

    def unchunked(function: Callable[..., Tensor], _: int, __: int, *inputs: Tensor) -> Tensor:
        return function(*inputs)

    decorators = ("add_code_sample_docstrings", "add_start_docstrings", "add_start_docstrings_to_model_forward")
    names: dict[str, dict[str, object]] = {
        "timm": {},
        "timm.models": {},
        "timm.models.vision_transformer": {"_cfg": dict, "PatchEmbed": _PatchEmbedding},
        "timm.models.registry": {"register_model": lambda function: function},
        "timm.models.layers": {"trunc_normal_": nn.init.trunc_normal_, "DropPath": nn.Identity},
        "transformers.file_utils": {
            "ModelOutput": ModelOutput,
            **dict.fromkeys((*decorators, "replace_return_docstrings"), undecorated),
        },
        "transformers.modeling_utils": {
            "PreTrainedModel": _PreTrainedModel,
            "apply_chunking_to_forward": unchunked,
            **dict.fromkeys(("find_pruneable_heads_and_indices", "prune_linear_layer")),
        },
    }
    modules = {}
    for name, values in names.items():
        modules[name] = ModuleType(name)
        vars(modules[name]).update(values)
    return modules
