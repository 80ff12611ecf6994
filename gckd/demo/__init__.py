"""Local page that searches images by sentences: `gckd demo`."""
