"""Prediction in which images really exit early: engine, backends, files in, rows out."""
