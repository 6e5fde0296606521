"""Synthetic endoscopy images, rendered by the program."""
