"""Metrics of predictions with their intervals; no TensorFlow."""
