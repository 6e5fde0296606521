"""A service over HTTP: images of many requests share batches, and each exits at its exit."""
