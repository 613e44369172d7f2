"""Predictions of a saved model: test-time augmentation, calibration, threshold, comparison."""
