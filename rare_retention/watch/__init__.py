"""What is shown of a run while it trains: progress bar, trackers, `progress.json`, profiles."""
