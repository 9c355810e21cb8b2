"""Training: state, optimizer, the step with its measurements, and the one loop."""
