"""One verb of the command line a file: its flags and run()."""
