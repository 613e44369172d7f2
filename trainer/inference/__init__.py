"""Images handed to a finished run: inputs, network, predictions."""
