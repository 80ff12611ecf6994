"""Selection among adapted models without target labels: label-free scores, choice by them, and audit of the choice."""

from gckd.validators import scores  # noqa: F401 (it registers the built-in scores)
from gckd.validators.audit import AuditRow, audit
from gckd.validators.choose import choose, collapsed, epoch_score, selectors
from gckd.validators.registry import SCORES, Score, UnlabelledEmbeddings, label_free_scores, register_score

__all__ = [
    "SCORES",
    "AuditRow",
    "Score",
    "UnlabelledEmbeddings",
    "audit",
    "choose",
    "collapsed",
    "epoch_score",
    "label_free_scores",
    "register_score",
    "selectors",
]
