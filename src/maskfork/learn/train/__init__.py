"""One training loop, its optimisers, schedules, precision and checkpoints."""
