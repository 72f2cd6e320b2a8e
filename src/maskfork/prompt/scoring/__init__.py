"""Labels scored by the likelihood of their words: prompts and labels read together as one tree behind what they share."""

from maskfork.prompt.scoring.along import scores_along
from maskfork.prompt.scoring.reader import Reader
from maskfork.prompt.scoring.trie import LabelTrie

__all__ = ["LabelTrie", "Reader", "scores_along"]
