"""The format on disk, the one thing both programs share; neither TensorFlow nor Beam."""
