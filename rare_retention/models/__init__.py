"""Models in Flax NNX; they are split into plain pytrees before they meet the training step."""
