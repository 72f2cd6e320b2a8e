"""One text that is held to a form.

It has a way out in its hand at every moment: tokens that complete what was written and fit into the tokens that are left. A
token is taken only if there is a way out after it that fits into one token less; otherwise it is refused, and when all that is
left is as long as the way out, that is written. So the text is complete in time, whatever the model wants:

    left 9   {"name": "      way out  "}           2 tokens
    left 4   {"name": "Mar   way out  "}           2
    left 2   {"name": "Maria way out  "}           2: it is written
    left 0   {"name": "Maria"}
"""

from __future__ import annotations

from llguidance import LLMatcher

from maskfork.prompt.generate.constraints.alphabet import END, LONGEST, Alphabet
from maskfork.prompt.generate.constraints.search import shortest, straight

TRIED = 200  # texts that a search looks at after a token
DROPPED = 8  # bytes of the old way out that a token may have written


class Line:
    """`take` says whether a token is taken. `tokens` and `text` are where the form stands, over tokens and over bytes."""

    def __init__(self, alphabet: Alphabet, tokens: LLMatcher, text: LLMatcher, way: bytes, left: int, lead: bool) -> None:
        """`left` tokens may be written, and `way` fits into them. `lead`: a first space is not shown and counts as none."""
        self.alphabet, self.left, self.lead = alphabet, left, lead
        self._tokens, self._text = tokens.deep_copy(), text.deep_copy()
        self._bytes, self._way = way, alphabet.fewest(way) or []
        self.ended = self.closed = False

    @property
    def over(self) -> bool:
        """Whether nothing can follow."""
        return self.ended or bool(self._text.is_stopped())

    @property
    def must(self) -> int | None:
        """The only token that may come now, where the way out takes all that is left."""
        return self._way[0] if self._way and len(self._way) >= self.left else None

    def allowed(self) -> bytes:
        """A bit a token, of those that the form allows here."""
        return self._tokens.compute_bitmask()

    def take(self, token: int) -> bool:
        """Whether the token is taken; if it is not, nothing has changed."""
        if token in self.alphabet.ends:
            self.ended = self._text.is_accepting()
            return self.ended
        text = self._said(token)
        after = self._text.deep_copy()
        if not text or not after.consume_tokens(list(text)):
            return False
        self.closed |= self.must is not None
        if self._way and token == self._way[0]:
            self._way, self._bytes = self._way[1:], self._bytes[len(text) :]
        elif (way := self._way_from(after, self.left - 1)) is not None:
            self._bytes, self._way = way, self.alphabet.fewest(way) or []
        else:
            return False
        self._text = after
        if not self.lead:
            self._tokens.consume_token(token)
        else:  # the token's own space is none
            self._tokens.consume_tokens(self.alphabet.fewest(text) or [token])
        self.lead, self.left = False, self.left - 1
        return True

    def after_space(self) -> list[int]:
        """The tokens that the form allows behind their own first space."""
        spaced = self.alphabet.spaced
        return [i for i, rest in spaced if self._text.validate_tokens(list(rest)) == len(rest)]

    def close(self) -> int:
        """The next token of the way out, taken."""
        if not self._way:
            raise ValueError("a text that may end here has no way out to go")
        token, self.closed = self._way[0], True
        self.take(token)
        return token

    def _said(self, token: int) -> bytes:
        text = self.alphabet.bytes[token] if token < self.alphabet.size else b""
        return text[1:] if self.lead and text.startswith(b" ") else text

    def _way_from(self, after: LLMatcher, room: int) -> bytes | None:
        """A way out of `after` in at most `room` tokens: what is left of the old one, the first that is found, the shortest."""
        if after.is_accepting():
            return b""
        for dropped in reversed(range(min(DROPPED, len(self._bytes)))):
            rest = self._bytes[dropped:]
            if after.validate_tokens([*rest, END]) == len(rest) + 1 and self._fits(rest, room):
                return rest
        longest = room * LONGEST
        if (way := straight(after, self.alphabet.usable, longest)) is not None and self._fits(way, room):
            return way
        way = shortest(after, self.alphabet.usable, longest, TRIED)
        return way if way is not None and self._fits(way, room) else None

    def _fits(self, way: bytes, room: int) -> bool:
        ids = self.alphabet.fewest(way)
        return ids is not None and len(ids) <= room
