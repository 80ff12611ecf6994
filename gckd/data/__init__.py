"""Datasets: readers, the Arrow store, the tokenizer, seeded loaders, and the generated benchmark."""
