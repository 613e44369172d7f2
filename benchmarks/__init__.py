"""Speed, always as a ratio measured side by side in one run: python -m benchmarks.NAME."""
