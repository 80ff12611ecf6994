"""The `gckd` command."""
