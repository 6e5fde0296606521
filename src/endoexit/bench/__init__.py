"""How fast a run or a bundle is, beside its peers, in one interleaved run."""
