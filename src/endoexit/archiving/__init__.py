"""Jobs over millions of images: planned, computed shard by shard, continued after any stop."""
