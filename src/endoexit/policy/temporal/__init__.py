"""The temporal policy: what the frames of a video tell of each other. NumPy only."""
