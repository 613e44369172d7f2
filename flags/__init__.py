"""Flags of both programs, data sets, targets, recipes: standard library and absl only."""
