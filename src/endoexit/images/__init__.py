"""Images: decoding, the network's square, the cache on disk. Knows no labels."""
