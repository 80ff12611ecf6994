"""A pretended CUDA device, which finds placement faults and counts operators without a GPU."""
