"""A table of vectors that costs nothing on the meta device, where models are built before their weights are read."""

from __future__ import annotations

from torch import nn


class Table(nn.Embedding):
    """`weight` [rows, width], one vector a number."""

    def reset_parameters(self) -> None:
        """There is nothing to fill on the meta device; torch would import its compiler, two seconds, to find that out."""
        if not self.weight.is_meta:
            super().reset_parameters()
