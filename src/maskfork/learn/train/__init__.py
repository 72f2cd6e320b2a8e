"""One training loop, its optimiser, schedule and precision."""
