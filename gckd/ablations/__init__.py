"""Component tables: rows of one full config without some of its components. Runs from a checkout."""
