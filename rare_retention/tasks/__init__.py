"""Tasks: what is to be learned, as pure functions from a task id and its inputs to a target."""
