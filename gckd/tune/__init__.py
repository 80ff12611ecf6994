"""The search for hyperparameters over any config path, without target labels. Runs from a checkout."""
