"""Optimiser: stochastic gradient descent with momentum."""

from dataclasses import dataclass
from typing import ClassVar

import torch
from torch import nn
from torch.optim import Optimizer

from gckd.extend import OPTIMIZERS, OptimizerConfig, decay_groups, option


@dataclass(frozen=True)
class Sgd(OptimizerConfig):
    """Stochastic gradient descent."""

    kind: ClassVar[str] = "sgd"
    momentum: float = option(0.9, "momentum of the gradient", ge=0, lt=1)


@OPTIMIZERS.register(Sgd)
def sgd(node: Sgd, modules: nn.Module, lr: float, weight_decay: float) -> tuple[Optimizer, ...]:
    parameters = [parameter for parameter in modules.parameters() if parameter.requires_grad]
    return (torch.optim.SGD(decay_groups(parameters, weight_decay), lr=lr, momentum=node.momentum),)
