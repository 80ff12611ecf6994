"""Registries: classes of the components by their config nodes."""

from __future__ import annotations

from typing import Protocol

import pytest

from gckd.config import ConfigError
from gckd.config.component import AlignmentConfig
from gckd.config.losses import Adversarial, Mmd, NoAlignment, Triplet
from gckd.config.registry import Registry


class Term(Protocol):
    width: int


class MmdTerm:
    def __init__(self, node: Mmd, width: int) -> None:
        self.kernels, self.width = node.kernels, width


class DoubledTerm:
    width = 0


def doubled(node: Adversarial, width: int) -> DoubledTerm:
    term = DoubledTerm()
    term.width = 2 * width
    return term


@pytest.fixture
def terms() -> Registry[AlignmentConfig, Term, int]:
    registry: Registry[AlignmentConfig, Term, int] = Registry(AlignmentConfig)
    assert registry.register(Mmd)(MmdTerm) is MmdTerm
    registry.register(Adversarial)(doubled)
    return registry


def test_classes_and_functions_build_from_their_node(terms: Registry[AlignmentConfig, Term, int]) -> None:
    built = terms.build(Mmd(kernels=3), 8)
    assert isinstance(built, MmdTerm)
    assert (built.kernels, built.width) == (3, 8)
    assert terms.build(Adversarial(), 8).width == 16


def test_a_kind_without_a_class_is_refused(terms: Registry[AlignmentConfig, Term, int]) -> None:
    with pytest.raises(ConfigError, match="no class is registered for kind 'none'; registered kinds: mmd, adversarial"):
        terms.build(NoAlignment(), 8)


def test_a_second_class_for_a_kind_is_refused(terms: Registry[AlignmentConfig, Term, int]) -> None:
    terms.register(Mmd)(MmdTerm)  # the same class again, as when a notebook cell runs twice
    with pytest.raises(ConfigError, match=r"kind 'mmd' is built by .*MmdTerm already"):
        terms.register(Mmd)(lambda node, width: MmdTerm(node, width))


def test_a_node_of_another_slot_is_refused(terms: Registry[AlignmentConfig, Term, int]) -> None:
    with pytest.raises(ConfigError, match="Triplet: not of slot AlignmentConfig; derive it from that class"):
        terms.register(Triplet)
