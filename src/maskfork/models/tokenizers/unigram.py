"""Training a Unigram (Kudo 2018): by sentencepiece's trainer, which is several times faster, where it is installed."""

from __future__ import annotations

import io
import re
from collections import Counter
from collections.abc import Iterable
from importlib.util import find_spec

import tokenizers
from tokenizers import Regex, decoders, models, normalizers, pre_tokenizers, trainers

from maskfork.errors import TokenizerError
from maskfork.models.tokenizers.sentencepiece.build import build
from maskfork.models.tokenizers.sentencepiece.proto import Piece, PieceType, SpmModel, read_model, read_normalizer
from maskfork.models.tokenizers.wordpiece import again

SPACE = "▁"
MOST_WORDS = 4_000_000
"""Different words held at once; beyond that those seen once are dropped, which no piece would have come of."""


def has_sentencepiece() -> bool:
    return find_spec("sentencepiece") is not None


def train_unigram(texts: Iterable[str], size: int, special: list[str], unknown: str) -> tuple[tokenizers.Tokenizer, list[str]]:
    """A pipeline of `size` tokens, the special ones first. Raises TokenizerError. The same texts give the same, always."""
    if not has_sentencepiece():
        return _by_library(texts, size, special, unknown), [
            "trained by the tokenizers library with NFKC; pip install sentencepiece trains several times faster"
        ]
    import sentencepiece

    rules = read_normalizer(sentencepiece.SentencePieceNormalizer(rule_name="nmt_nfkc").serialized_model_proto())
    shape = SpmModel((), normalizer="nmt_nfkc", charsmap=rules)
    head = [Piece(t, 0.0, PieceType.UNKNOWN if t == unknown else PieceType.CONTROL) for t in special]
    plain, _ = build(SpmModel((*head, Piece(SPACE, -1.0, PieceType.NORMAL)), charsmap=shape.charsmap))
    pieces = learn(count_words(texts), plain, size - len(special), taken=set(special))
    inner, _ = build(SpmModel((*head, *pieces), charsmap=shape.charsmap))
    return inner, []


def count_words(texts: Iterable[str]) -> Counter[str]:
    """Words between blanks and how often each came. Flat in memory."""
    words: Counter[str] = Counter()
    for text in texts:
        words.update(text.split())
        if len(words) > MOST_WORDS:
            words = Counter({word: count for word, count in words.items() if count > 1})
    return words


def learn(words: Counter[str], pipeline: tokenizers.Tokenizer, size: int, taken: set[str]) -> list[Piece]:
    """`size` pieces (fewer where the words give no more), by sentencepiece's trainer on words that `pipeline` normalised."""
    import sentencepiece

    seen: Counter[str] = Counter()
    for word, count in words.items():
        normal = pipeline.normalizer.normalize_str(word) if pipeline.normalizer is not None else SPACE + word
        for part in re.findall(f"{SPACE}*[^{SPACE}]+|{SPACE}+", normal):
            seen[part] += count
    if not seen:
        raise TokenizerError("the files hold no words, so no vocabulary can be learned: give files with text")
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
    learned = [p for p in read_model(held.getvalue()).pieces if p.type == PieceType.NORMAL and p.text not in taken]
    return learned[:size]


def _why(error: str, size: int) -> str:
    if "required_chars" in error or "Vocabulary size is smaller" in error:
        return f"{size} pieces have no room for the letters of these texts: ask for a larger --vocab-size"
    return f"sentencepiece could not train ({' '.join(error.split())}): give more text or a smaller --vocab-size"


def _by_library(texts: Iterable[str], size: int, special: list[str], unknown: str) -> tokenizers.Tokenizer:
    inner = tokenizers.Tokenizer(models.Unigram())
    inner.normalizer = normalizers.Sequence([
        normalizers.NFKC(),
        normalizers.Replace(Regex(r"\s+"), " "),
        normalizers.Strip(),
        normalizers.Replace(" ", SPACE),
        normalizers.Prepend(SPACE),
    ])  # fmt: skip
    inner.pre_tokenizer = pre_tokenizers.Metaspace(SPACE, prepend_scheme="never", split=True)
    inner.decoder = decoders.Sequence([decoders.Replace(SPACE, " "), decoders.Fuse(), decoders.Strip(" ", 1, 0)])
    words = count_words(texts)
    trainer = trainers.UnigramTrainer(vocab_size=size, special_tokens=special, unk_token=unknown, show_progress=False)

    inner.train_from_iterator(again(sorted(words.items())), trainer)
    return inner
