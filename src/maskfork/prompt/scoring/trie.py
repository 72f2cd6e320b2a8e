"""Labels as a tree of tokens, so that what two labels begin with is read once.

    tokens of the labels            tree                what is read beside a text
    world                           ┬ world             nothing: the text's last token scores every first token
    sports                          ├ sports
    science and technology          └ science ─ and ─ technology        science, and
    science fiction                          └ fiction

Only tokens that something follows are read: a label's last token is scored where the token before it stands.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from itertools import pairwise


@dataclass(frozen=True)
class LabelTrie:
    """`tokens` and `parents` [M] of the inner nodes in preorder, parent -1 for what follows the text itself.

    `steps` gives for each label its (place, token) pairs: the token is scored by the logits at that place, a node's number or
    -1 for the text's last token. Their log-probabilities sum to the label's.
    """

    tokens: tuple[int, ...]
    parents: tuple[int, ...]
    steps: tuple[tuple[tuple[int, int], ...], ...]

    @staticmethod
    def of(labels: Sequence[Sequence[int]]) -> LabelTrie:
        """From each label's tokens, one at the least."""
        starts = sorted({tuple(label[:n]) for label in labels for n in range(1, len(label))})
        at = {start: i for i, start in enumerate(starts)} | {(): -1}
        steps = tuple(tuple((at[tuple(label[:n])], token) for n, token in enumerate(label)) for label in labels)
        return LabelTrie(tuple(s[-1] for s in starts), tuple(at[s[:-1]] for s in starts), steps)

    @property
    def longest(self) -> int:
        """Tokens of the longest label."""
        return max(map(len, self.steps))


def one_begins_another(labels: Sequence[Sequence[int]]) -> bool:
    """Whether some label's tokens are the beginning of another's: then only their ends tell them apart."""
    ordered = sorted(map(tuple, labels))  # what a label begins follows it directly
    return any(longer[: len(label)] == label for label, longer in pairwise(ordered))
