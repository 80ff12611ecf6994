"""Choosing among adapted models without target labels: label-free scores, the choice by them, and its audit."""

from gckd.validators.audit import AuditRow, audit
from gckd.validators.choose import SELECTORS, choose, collapsed, value
from gckd.validators.scores import SCORES, Unlabelled, label_free

__all__ = ["SCORES", "SELECTORS", "AuditRow", "Unlabelled", "audit", "choose", "collapsed", "label_free", "value"]
