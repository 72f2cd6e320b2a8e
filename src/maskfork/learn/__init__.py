"""Learning from labelled rows: reading data, training, tasks."""
