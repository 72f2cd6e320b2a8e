"""The fork: one Transformer, its masks, kernels and positions. Knows no checkpoint, no text, no task."""
