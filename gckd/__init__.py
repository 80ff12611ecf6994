"""Graph-Based Cross-Domain Knowledge Distillation for text-to-image person retrieval (arXiv 2501.15052)."""

__version__ = "0.1.0"
