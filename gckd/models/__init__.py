"""ALBEF, CLIP and BLIP behind one interface, and loading of published weights."""
