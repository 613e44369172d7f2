"""A trained network for other programs, and the card that goes with it."""
