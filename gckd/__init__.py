"""Graph-based cross-domain knowledge distillation for text-to-image person retrieval (arXiv 2501.15052).

Adapt a retriever to unlabelled images and captions, and search with it:

    import gckd

    street = gckd.make_street("street", ids=200)  # a generated benchmark; or use folders of your own
    data = {"data.source": street.root / "ICFG-PEDES", "data.target": street.root / "RSTPReid"}
    result = gckd.train(gckd.apply(gckd.preset("tiny"), data), out="runs/demo")
    print(result.metrics["rank_1"])
    gallery = result.model.embed_images(images)  # paths or PIL images
    matches = result.model.search("a woman in a red coat", gallery, top=5)

`gckd.extend` has what a plugin needs. Modules are imported at first use: `import gckd` imports neither torch nor Ray.
"""

from __future__ import annotations

import importlib
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from gckd.api import TrainingResult, evaluate, load, train
    from gckd.config import Config, apply, preset
    from gckd.data.street import make_street
    from gckd.errors import InputError
    from gckd.graph.memory import MemoryBank
    from gckd.graph.propagation import GraphPropagation
    from gckd.method.losses import soft_cross_entropy
    from gckd.method.matching import cross_domain_pairs
    from gckd.method.pseudo_labels import PseudoLabels
    from gckd.method.teacher import EmaTeacher
    from gckd.training.model import Match, Model
    from gckd.training.target_evaluation import Evaluation

__version__ = "0.1.0"
__all__ = [
    "Config",
    "EmaTeacher",
    "Evaluation",
    "GraphPropagation",
    "InputError",
    "Match",
    "MemoryBank",
    "Model",
    "PseudoLabels",
    "TrainingResult",
    "apply",
    "cross_domain_pairs",
    "evaluate",
    "load",
    "make_street",
    "preset",
    "soft_cross_entropy",
    "train",
]

_MODULES = {
    "Config": "gckd.config",
    "EmaTeacher": "gckd.method.teacher",
    "Evaluation": "gckd.training.target_evaluation",
    "GraphPropagation": "gckd.graph.propagation",
    "InputError": "gckd.errors",
    "Match": "gckd.training.model",
    "MemoryBank": "gckd.graph.memory",
    "Model": "gckd.training.model",
    "PseudoLabels": "gckd.method.pseudo_labels",
    "TrainingResult": "gckd.api",
    "apply": "gckd.config",
    "cross_domain_pairs": "gckd.method.matching",
    "evaluate": "gckd.api",
    "load": "gckd.api",
    "make_street": "gckd.data.street",
    "preset": "gckd.config",
    "soft_cross_entropy": "gckd.method.losses",
    "train": "gckd.api",
}

if not TYPE_CHECKING:  # for mypy, a module with __getattr__ has every attribute

    def __getattr__(name: str) -> object:
        """Import a public name at first use."""
        if name not in _MODULES:
            raise AttributeError(f"module 'gckd' has no attribute {name!r}; its public names are {', '.join(__all__)}")
        value = getattr(importlib.import_module(_MODULES[name]), name)
        globals()[name] = value
        return value

    def __dir__() -> list[str]:
        return sorted([*globals(), *__all__])
