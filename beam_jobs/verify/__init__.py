"""Records read again: shards, folders, and the drift between two data sets."""
