"""Training a Unigram (Kudo 2018): by sentencepiece's trainer where it is installed, else by our own."""

from __future__ import annotations

import io
import re
from collections import Counter
from collections.abc import Iterable
from importlib.util import find_spec

import tokenizers
from tokenizers import Regex, normalizers

from maskfork.errors import TokenizerError
from maskfork.models.tokenizers import em
from maskfork.models.tokenizers.sentencepiece.build import build
from maskfork.models.tokenizers.sentencepiece.proto import Piece, PieceType, SpmModel, read_model, read_normalizer

SPACE = "▁"
_ALONE = re.compile(
    f"{SPACE}*[^\\W\\d_]+|{SPACE}*\\d+|{SPACE}*[^\\w{SPACE}]+|{SPACE}*_+|{SPACE}+"
)  # as sentencepiece's by default
MOST_WORDS = 4_000_000
"""Different words held at once; beyond that those seen once are dropped, which no piece would have come of."""


def has_sentencepiece() -> bool:
    return find_spec("sentencepiece") is not None


def train_unigram(texts: Iterable[str], size: int, special: list[str], unknown: str) -> tuple[tokenizers.Tokenizer, list[str]]:
    """A pipeline of `size` tokens, the special ones first. Raises TokenizerError. The same texts give the same, always."""
    head = [Piece(t, 0.0, PieceType.UNKNOWN if t == unknown else PieceType.CONTROL) for t in special]
    notes: list[str] = []
    charsmap = b""
    if has_sentencepiece():
        import sentencepiece

        charsmap = read_normalizer(sentencepiece.SentencePieceNormalizer(rule_name="nmt_nfkc").serialized_model_proto())
    else:
        notes.append("learned by our own trainer, with NFKC: pip install sentencepiece for its trainer and T5's rules (nmt_nfkc)")
    plain = _pipeline(SpmModel((*head, Piece(SPACE, -1.0, PieceType.NORMAL)), charsmap=charsmap))
    pieces = learn(count_words(texts), plain, size - len(special), taken=set(special))
    return _pipeline(SpmModel((*head, *pieces), charsmap=charsmap)), notes


def _pipeline(model: SpmModel) -> tokenizers.Tokenizer:
    inner, _ = build(model)
    if not model.charsmap:
        before = [normalizers.NFKC(), normalizers.Replace(Regex(r"\s"), " ")]
        inner.normalizer = normalizers.Sequence([*before, inner.normalizer])
    return inner


def count_words(texts: Iterable[str]) -> Counter[str]:
    """Words between blanks and how often each came. Flat in memory."""
    words: Counter[str] = Counter()
    for text in texts:
        words.update(text.split())
        if len(words) > MOST_WORDS:
            words = Counter({word: count for word, count in words.items() if count > 1})
    return words


def learn(words: Counter[str], pipeline: tokenizers.Tokenizer, size: int, taken: set[str]) -> list[Piece]:
    """`size` pieces (fewer where the words give no more) of words that `pipeline` normalises."""
    seen: Counter[str] = Counter()
    for word, count in words.items():
        normal = pipeline.normalizer.normalize_str(word) if pipeline.normalizer is not None else SPACE + word
        for part in re.findall(f"{SPACE}*[^{SPACE}]+|{SPACE}+", normal):
            seen[part] += count
    if not seen:
        raise TokenizerError("the files hold no words, so no vocabulary can be learned: give files with text")
    if not has_sentencepiece():
        parts: Counter[str] = Counter()
        for word, count in seen.items():
            for part in _ALONE.findall(word):
                parts[part] += count
        found = [Piece(text, score, PieceType.NORMAL) for text, score in em.learn(parts, size)]
        if len(found) > size:
            raise TokenizerError(_why("required_chars", size))
        return [p for p in found if p.text not in taken]
    return [p for p in _by_sentencepiece(seen, size) if p.text not in taken]


def _by_sentencepiece(seen: Counter[str], size: int) -> list[Piece]:
    import sentencepiece

    held = io.BytesIO()
    try:
        sentencepiece.SentencePieceTrainer.train(
            sentence_iterator=iter([f"{word}\t{count}" for word, count in sorted(seen.items()) if "\t" not in word]),
            model_writer=held,
            model_type="unigram",
            input_format="tsv",
            vocab_size=size + 3,  # its own three
            normalization_rule_name="identity",
            add_dummy_prefix=False,
            remove_extra_whitespaces=False,
            hard_vocab_limit=False,
            num_threads=1,  # sums in another order give another vocabulary
            minloglevel=2,
        )
    except (RuntimeError, OSError) as error:
        raise TokenizerError(_why(str(error), size)) from error
    return [p for p in read_model(held.getvalue()).pieces if p.type == PieceType.NORMAL][:size]


def _why(error: str, size: int) -> str:
    if "required_chars" in error or "Vocabulary size is smaller" in error:
        return f"{size} pieces have no room for the letters of these texts: ask for a larger --vocab-size"
    return f"sentencepiece could not train ({' '.join(error.split())}): give more text or a smaller --vocab-size"
