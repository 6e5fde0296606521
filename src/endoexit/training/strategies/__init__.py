"""What a training minimises: one file for each strategy, chosen by `strategy.name` of a recipe."""
