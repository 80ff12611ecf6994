"""Hyperparameter search over any config path, without target labels."""
