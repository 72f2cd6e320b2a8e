"""Which examples stand in a prompt: the same for all texts, or each text's own."""

from maskfork.prompt.shots.nearest import Nearest
from maskfork.prompt.shots.select import SELECTIONS, select

__all__ = ["SELECTIONS", "Nearest", "select"]
