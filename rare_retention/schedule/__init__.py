"""The exposure schedule: which task stands where in the stream, as exact numbers."""
