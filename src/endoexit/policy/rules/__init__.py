"""Rules that decide at which exit an image exits: one class each, listed in `catalog`."""
