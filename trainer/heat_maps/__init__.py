"""Saliency: class activation maps, their sanity check, the pointing game."""
