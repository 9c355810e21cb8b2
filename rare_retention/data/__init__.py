"""Data: the exposure schedule, and the Grain pipeline that carries it to the devices."""
