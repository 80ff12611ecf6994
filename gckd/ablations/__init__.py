"""Ablations: tables that compare a full config with rows that drop, add or change something."""
