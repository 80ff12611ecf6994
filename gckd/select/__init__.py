"""Choosing among adapted models without target labels: label-free scores, the choice by them, and its audit."""

from gckd.select.audit import AuditRow, audit
from gckd.select.choose import SELECTORS, choose, collapsed, value
from gckd.select.scores import SCORES, Unlabelled, label_free

__all__ = ["SCORES", "SELECTORS", "AuditRow", "Unlabelled", "audit", "choose", "collapsed", "label_free", "value"]
