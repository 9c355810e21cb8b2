"""What a run leaves behind: checkpoints, metrics and a manifest, each safe against a kill."""
