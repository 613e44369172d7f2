"""Scores of films whose truth is known: pure figures with their intervals, no TensorFlow."""
