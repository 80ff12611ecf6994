"""The cluster files that are made from parts."""
