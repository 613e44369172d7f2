"""Images in, TFRecords out: sources, splits, imaging, shards, and the Beam job that runs them."""
