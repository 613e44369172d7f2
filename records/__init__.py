"""The format on disk, read and written by both programs; no TensorFlow, no Beam."""
