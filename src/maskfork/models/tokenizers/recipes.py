"""What a family's tokenizer is made of, for training one like it: special tokens, normaliser, words, decoder."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

from tokenizers import Regex, decoders, normalizers, pre_tokenizers

from maskfork.errors import UsageError
from maskfork.models.tokenizers import frames
from maskfork.models.tokenizers.frames import Frame

Kind = Literal["bpe", "wordpiece", "unigram"]
KINDS: tuple[Kind, ...] = ("bpe", "wordpiece", "unigram")
SPACE = "▁"
SENTINELS = tuple(f"<extra_id_{i}>" for i in reversed(range(100)))
BYTES = tuple(f"<0x{byte:02X}>" for byte in range(256))


@dataclass(frozen=True)
class Recipe:
    """`special` come first, in this order; `last` take the highest ids. `byte_level` as the family's BPE is."""

    kind: Kind
    special: tuple[str, ...]
    frame: Frame
    byte_level: bool = True
    byte_fallback: bool = False
    last: tuple[str, ...] = ()
    lower: bool = False


_BERT = ("[PAD]", "[UNK]", "[CLS]", "[SEP]", "[MASK]")
_ROBERTA = ("<s>", "<pad>", "</s>", "<unk>", "<mask>")
_XLNET = ("<unk>", "<s>", "</s>", "<cls>", "<sep>", "<pad>", "<mask>")

RECIPES: dict[str, Recipe] = {
    "bert": Recipe("wordpiece", _BERT, frames.BERT, lower=True),
    "roberta": Recipe("bpe", _ROBERTA, frames.ROBERTA),
    "gpt2": Recipe("bpe", ("<|endoftext|>",), frames.GPT2),
    "t5": Recipe("unigram", ("<pad>", "</s>", "<unk>"), frames.T5, last=SENTINELS),
    "llama": Recipe("bpe", ("<unk>", "<s>", "</s>"), frames.LLAMA, byte_level=False, byte_fallback=True),
    "albert": Recipe("unigram", ("[PAD]", "[UNK]", "[CLS]", "[SEP]", "[MASK]"), frames.BERT),
    "xlnet": Recipe("unigram", _XLNET, frames.XLNET),
    "xlm-roberta": Recipe("unigram", _ROBERTA, frames.ROBERTA),
    "modernbert": Recipe("bpe", ("[UNK]", "[CLS]", "[SEP]", "[PAD]", "[MASK]"), frames.BERT),
}
LIKE = {
    "distilbert": "bert", "electra": "bert", "mpnet": "bert", "nomic_bert": "bert", "new": "bert", "bart": "roberta",
    "longformer": "roberta", "deberta": "modernbert", "mbart": "xlm-roberta", "camembert": "xlm-roberta", "big_bird": "albert",
    "deberta-v2": "albert", "gptj": "gpt2", "gpt_neox": "gpt2", "qwen2": "gpt2", "qwen3": "gpt2", "olmo2": "gpt2", "mt5": "t5",
    "mistral": "llama", "mixtral": "llama", "phi3": "llama",
}  # fmt: skip
_DEFAULT = {"bpe": "gpt2", "wordpiece": "bert", "unigram": "t5"}


def recipe_for(family: str | None, kind: str | None) -> tuple[str, Recipe, Kind]:
    """(the family whose tokens these are, its recipe, the kind). Raises UsageError for what is not known."""
    if kind is not None and kind not in KINDS:
        raise UsageError(f"there is no kind {kind!r}: choose {', '.join(KINDS)}")
    name = family or _DEFAULT[kind or "bpe"]
    known = LIKE.get(name, name)
    if known not in RECIPES:
        raise UsageError(f"there is no recipe for {name!r}: choose one of {', '.join(sorted({*RECIPES, *LIKE}))}")
    recipe = RECIPES[known]
    chosen: Kind = next((k for k in KINDS if k == kind), recipe.kind)
    return known, recipe, chosen


def unknown_of(recipe: Recipe) -> str | None:
    """The token that stands for what is not in the vocabulary."""
    named = recipe.frame.named.get("unk")
    return named if named in recipe.special else None


def byte_level() -> tuple[pre_tokenizers.PreTokenizer, decoders.Decoder]:
    """GPT-2's: every text is bytes, nothing is unknown."""
    return pre_tokenizers.ByteLevel(add_prefix_space=False), decoders.ByteLevel()


def word_piece(lower: bool) -> tuple[normalizers.Normalizer, pre_tokenizers.PreTokenizer, decoders.Decoder]:
    """BERT's."""
    return normalizers.BertNormalizer(lowercase=lower), pre_tokenizers.BertPreTokenizer(), decoders.WordPiece()


def letters(byte_fallback: bool) -> tuple[normalizers.Normalizer, pre_tokenizers.PreTokenizer, decoders.Decoder]:
    """SentencePiece's way with spaces. Letters, digits (one by one) and other signs never share a token."""
    steps = [decoders.Replace(SPACE, " "), *([decoders.ByteFallback()] if byte_fallback else []), decoders.Fuse()]
    words = Regex(rf"{SPACE}*[\p{{L}}\p{{M}}]+|{SPACE}*\p{{N}}|{SPACE}*[^{SPACE}\p{{L}}\p{{M}}\p{{N}}]+|{SPACE}+")
    return (
        normalizers.Sequence([normalizers.Prepend(SPACE), normalizers.Replace(" ", SPACE)]),
        pre_tokenizers.Split(words, "isolated"),
        decoders.Sequence([*steps, decoders.Strip(" ", 1, 0)]),
    )
