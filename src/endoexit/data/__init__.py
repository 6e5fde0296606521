"""Images, manifests and splits: everything between a folder and an array."""
