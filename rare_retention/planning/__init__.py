"""What a run needs of a slice, before it is booked: memory, traffic, time, by compiling it here."""
