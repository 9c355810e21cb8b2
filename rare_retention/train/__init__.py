"""Training: state, the step with its measurements, plan and loop."""
