"""Settings searched for on the train rows, within minutes; the held-out rows are read once, at the end."""
