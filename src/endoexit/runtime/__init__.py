"""Prediction in which images really leave early: engine, backends, files in, rows out."""
