"""Folders on disk that predict: runs and bundles."""
