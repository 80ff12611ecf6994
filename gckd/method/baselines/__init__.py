"""Published methods to compare with: POUF, ReCLIP and Tent."""
