"""What a run can be told, and the names both programs agree on: standard library and absl only."""
