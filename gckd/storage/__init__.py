"""Folders and object stores, the cache of shared files, and checkpoints."""
