"""Classes of the components, by the config nodes that describe them."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, Generic, TypeVar, TypeVarTuple

from gckd.config.component import Component
from gckd.config.fields import ConfigError

Node = TypeVar("Node", bound=Component)
AnyNode = TypeVar("AnyNode", bound=Component)
Product = TypeVar("Product")
Args = TypeVarTuple("Args")


class Registry(Generic[Node, Product, *Args]):
    """Builders of one slot: node class -> callable `(node, *args) -> product`, a class or a function.

        ALIGNMENTS: Registry[AlignmentConfig, Alignment, int] = Registry(AlignmentConfig)

        @ALIGNMENTS.register(Mmd)
        class MmdTerm:
            def __init__(self, node: Mmd, width: int) -> None: ...

        ALIGNMENTS.build(config.align, width)

    mypy checks that what is registered takes that node and these arguments, and makes that product.
    """

    def __init__(self, base: type[Node]) -> None:
        self.base = base
        self._builders: dict[type[Component], Callable[[Any, *Args], Product]] = {}

    def register(
        self, node: type[AnyNode]
    ) -> Callable[[Callable[[AnyNode, *Args], Product]], Callable[[AnyNode, *Args], Product]]:
        """Decorator that enters the builder of a node class.

        Raises:
            ConfigError: the node is of another slot, or has a builder already.
        """
        if not issubclass(node, self.base):
            raise ConfigError([f"{node.__qualname__}: not of slot {self.base.__name__}; derive it from that class"])

        def enter(builder: Callable[[AnyNode, *Args], Product]) -> Callable[[AnyNode, *Args], Product]:
            present: Any = self._builders.get(node, builder)
            if (present.__module__, present.__qualname__) != (builder.__module__, builder.__qualname__):
                where = f"{present.__module__}.{present.__qualname__}"
                raise ConfigError([f"{builder.__qualname__}: kind {node.kind!r} is built by {where} already"])
            self._builders[node] = builder
            return builder

        return enter

    def build(self, node: Node, *args: *Args) -> Product:
        """The product that a config node describes.

        Raises:
            ConfigError: nothing is registered for the node's class.
        """
        builder = self._builders.get(type(node))
        if builder is None:
            kinds = ", ".join(registered.kind for registered in self._builders)
            slot = self.base.__name__
            raise ConfigError([f"{slot}: no class is registered for kind {node.kind!r}; registered kinds: {kinds}"])
        return builder(node, *args)
