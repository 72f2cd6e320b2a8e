"""One scale for every picture: a cell's depth is the root of its weight, so that small weights are seen and all compare."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

#: light ground: (depth, red, green, blue); the page has the same stops, and others for a dark ground
STOPS = ((0.0, "#f5f8fd"), (0.35, "#b3cdf3"), (0.6, "#5d93de"), (0.8, "#1f5cb8"), (1.0, "#0a2a5e"))
LEGEND = (0.01, 0.1, 0.3, 0.6, 1.0)
FORBIDDEN, HATCH = "#e9ebef", "#9aa3b0"
PART_COLOURS = {"first": "#14171c", "second": "#b03a06", "special": "#68717f"}


def depth(weights: NDArray[np.float32]) -> NDArray[np.float32]:
    """Weights 0 to 1 -> depth of colour 0 to 1, same shape."""
    root: NDArray[np.float32] = np.sqrt(np.clip(weights, 0.0, 1.0))
    return root
