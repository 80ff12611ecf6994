"""What a search varies: ranges and choices of any config path, with conditions."""
