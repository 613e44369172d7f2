"""Pixels: pure functions from bytes to uint16 arrays; no Beam, no TensorFlow."""
