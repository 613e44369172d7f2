"""TFRecords in, a trained and judged model out."""
