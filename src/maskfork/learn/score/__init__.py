"""Scores of prediction files in the formats that a task's field publishes, one file a kind of task."""
