"""Runs on Ray: connection, tasks, search trials and cluster files. Only this package and gckd.tune import Ray."""
