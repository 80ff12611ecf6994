"""Published methods that ablations compare with: POUF, ReCLIP and Tent."""
