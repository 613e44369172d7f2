"""Runs beside each other: paired tests, what was published, and how it is said."""
