"""What a trained network is worth: scores with intervals, complexity, measured time."""
