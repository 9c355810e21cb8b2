"""Settings: what the loop knows of a family of models and the mixture of tasks they learn."""
