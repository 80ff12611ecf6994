"""Estimate of memory and time on a GPU, from the operators of a step."""
