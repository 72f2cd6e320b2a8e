"""Training a WordPiece by the library's trainer, in a way that gives the same vocabulary every time.

The library numbers the letters that go on a word (##a) in the order in which its word table happens to give them, and
breaks ties between merges by these numbers. So the letters are counted here first, and given to it in their own order.
"""

from __future__ import annotations

import json
from collections import Counter
from collections.abc import Iterator

import tokenizers
from tokenizers import models, pre_tokenizers, trainers

from maskfork.errors import TokenizerError

ALPHABET = 1000
"""Letters that are kept, the most frequent first; a word with another letter is unknown."""
AT_ONCE = 1000


def learn(
    words: Counter[str], pipeline: tokenizers.Tokenizer, size: int, special: list[str], unknown: str, least: int
) -> dict[str, int]:
    """Token -> id: the special ones, the letters, then `size` in all. `pipeline` normalises and puts words apart."""
    seen: Counter[str] = Counter()
    for word, count in words.items():
        normal = pipeline.normalizer.normalize_str(word) if pipeline.normalizer is not None else word
        for part, _ in pipeline.pre_tokenizer.pre_tokenize_str(normal):
            seen[part] += count
    letters: Counter[str] = Counter()
    for word, count in seen.items():
        for letter in word:
            letters[letter] += count
    if not letters:
        raise TokenizerError("the files hold no words, so no vocabulary can be learned: give files with text")
    kept = set(sorted(letters, key=lambda c: (-letters[c], c))[: max(2, min(ALPHABET, (size - len(special)) // 2))])
    known = sorted((word, count) for word, count in seen.items() if kept.issuperset(word))
    inside = sorted({f"##{letter}" for word, _ in known for letter in word[1:]})
    scratch = tokenizers.Tokenizer(models.WordPiece(unk_token=unknown))
    scratch.pre_tokenizer = pre_tokenizers.WhitespaceSplit()
    trainer = trainers.WordPieceTrainer(
        vocab_size=size,
        min_frequency=least,
        initial_alphabet=sorted(kept),
        special_tokens=[*special, *inside],
        show_progress=False,
    )
    scratch.train_from_iterator(_again(known), trainer)
    vocabulary: dict[str, int] = json.loads(scratch.to_str())["model"]["vocab"]
    plain = sorted((t for t in vocabulary if t not in inside and t not in special), key=vocabulary.__getitem__)
    single = [t for t in plain if len(t) == 1]
    ordered = [*special, *single, *inside, *(t for t in plain if len(t) > 1)]
    return {token: i for i, token in enumerate(ordered)}


def _again(words: list[tuple[str, int]]) -> Iterator[str]:
    """The library takes texts, not counts."""
    for word, count in words:
        whole, rest = divmod(count, AT_ONCE)
        yield from (" ".join([word] * AT_ONCE) for _ in range(whole))
        if rest:
            yield " ".join([word] * rest)
