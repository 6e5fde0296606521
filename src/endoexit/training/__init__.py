"""Training of all exits together: recipes, losses, the Lightning module, run folders."""
