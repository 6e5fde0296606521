"""How fast a run or a bundle is, compared with its peers, in one interleaved run."""
