"""Films that someone hands to a finished run."""
