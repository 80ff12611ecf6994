"""Retrieval metrics, and exact or approximate search of large galleries."""
