"""Training and evaluation of one run. Knows no Ray."""
