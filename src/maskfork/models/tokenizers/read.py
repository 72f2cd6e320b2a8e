"""A tokenizer from a folder or a file: tokenizer.json, vocab.txt (WordPiece), vocab.json with merges.txt (byte-level BPE)."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import tokenizers
from tokenizers import decoders, models, normalizers, pre_tokenizers, processors

from maskfork.errors import TokenizerError
from maskfork.models.tokenizers.face import Tokenizer

FILES = ("tokenizer.json", "vocab.txt", "vocab.json")
BERT_FRAME = {"cls": "[CLS]", "sep": "[SEP]", "unk": "[UNK]", "pad": "[PAD]", "mask": "[MASK]"}
ROBERTA_FRAME = {
    "cls": "<s>", "sep": "</s>", "unk": "<unk>", "pad": "<pad>", "mask": "<mask>", "bos": "<s>", "eos": "</s>",
}  # fmt: skip


def has_tokenizer(folder: Path) -> bool:
    """Whether the folder holds a tokenizer that can be read here."""
    return any((folder / name).is_file() for name in FILES)


def load_tokenizer(where: str | Path) -> Tokenizer:
    """From a folder or one of its files. Raises TokenizerError with the cause and the cure."""
    path = Path(where).expanduser()
    if not path.exists():
        raise TokenizerError(f"there is no tokenizer at {path}: give a folder or one of {', '.join(FILES)}")
    folder = path if path.is_dir() else path.parent
    file = _find(path) if path.is_dir() else path
    config = _config(folder)
    try:
        if file.name == "vocab.json":
            return _byte_bpe(folder, config)
        if file.suffix == ".json":
            return Tokenizer(tokenizers.Tokenizer.from_file(str(file)), config)
        return _word_piece(file, config)
    except TokenizerError:
        raise
    except Exception as error:  # the library raises bare Exception with the parser's words
        raise TokenizerError(f"{file} cannot be read as a tokenizer ({error}): download it again") from error


def _find(folder: Path) -> Path:
    for name in FILES:
        if (folder / name).is_file():
            return folder / name
    raise TokenizerError(f"{folder} has no tokenizer: put tokenizer.json, vocab.txt or vocab.json with merges.txt there")


def _config(folder: Path) -> dict[str, Any]:
    config: dict[str, Any] = {}
    for name in ("special_tokens_map.json", "tokenizer_config.json"):
        if (folder / name).is_file():
            config.update(json.loads((folder / name).read_text("utf-8")))
    return config


def _named(config: dict[str, Any], **defaults: str) -> dict[str, Any]:
    return {**{f"{name}_token": token for name, token in defaults.items()}, **config}


def _word_piece(file: Path, config: dict[str, Any]) -> Tokenizer:
    """BERT's: its own normaliser, words and punctuation apart, [CLS] a [SEP] b [SEP]; or MPNet's with RoBERTa's tokens."""
    words = {line.rstrip("\n"): i for i, line in enumerate(file.read_text("utf-8").split("\n")) if line.rstrip("\n")}
    if "[UNK]" not in words:
        raise TokenizerError(f"{file} has no [UNK] token, so it is not a WordPiece vocabulary: give tokenizer.json instead")
    lower = bool(config.get("do_lower_case", not any(w[:1].isupper() for w in words if not w.startswith("["))))
    inner = tokenizers.Tokenizer(models.WordPiece(words, unk_token="[UNK]", max_input_chars_per_word=100))
    inner.normalizer = normalizers.BertNormalizer(lowercase=lower)
    inner.pre_tokenizer = pre_tokenizers.BertPreTokenizer()
    inner.decoder = decoders.WordPiece()
    named = _frame(inner) or BERT_FRAME
    return Tokenizer(inner, {"do_lower_case": lower, **_named(config, **{**named, "unk": "[UNK]"})}, "wordpiece")


def _byte_bpe(folder: Path, config: dict[str, Any]) -> Tokenizer:
    """GPT-2's: bytes as characters, its own word pattern. RoBERTa's and DeBERTa's have special tokens around a text."""
    merges = folder / "merges.txt"
    if not merges.is_file():
        raise TokenizerError(f"{folder} has vocab.json without merges.txt: byte-level BPE needs both")
    inner = tokenizers.Tokenizer(models.BPE.from_file(str(folder / "vocab.json"), str(merges)))
    inner.pre_tokenizer = pre_tokenizers.ByteLevel(add_prefix_space=bool(config.get("add_prefix_space", False)))
    inner.decoder = decoders.ByteLevel()
    inner.post_processor = processors.ByteLevel(trim_offsets=False)
    named = _frame(inner)
    if named is None:
        named = {"bos": "<|endoftext|>", "eos": "<|endoftext|>"}
        if inner.token_to_id("<|endoftext|>") is not None:
            inner.add_special_tokens(["<|endoftext|>"])
    return Tokenizer(inner, _named(config, **named), "bpe")


def _frame(inner: tokenizers.Tokenizer) -> dict[str, str] | None:
    """Put the special tokens that a vocabulary has around its texts: <s> a </s></s> b </s>, or [CLS] a [SEP] b [SEP].

    Gives their names; None for a vocabulary without them.
    """
    for named in (ROBERTA_FRAME, BERT_FRAME):
        first, last = inner.token_to_id(named["cls"]), inner.token_to_id(named["sep"])
        if first is not None and last is not None:
            frame = processors.RobertaProcessing if named is ROBERTA_FRAME else processors.BertProcessing
            inner.post_processor = frame((named["sep"], last), (named["cls"], first))
            # What is masked may begin with a space, which a mask stands for too; BERT's words have no spaces.
            greedy = not isinstance(inner.model, models.WordPiece) or named is ROBERTA_FRAME
            have = {name: token for name, token in named.items() if inner.token_to_id(token) is not None}
            inner.add_special_tokens([
                tokenizers.AddedToken(token, lstrip=greedy and name == "mask", special=True, normalized=False)
                for name, token in have.items()
            ])  # fmt: skip
            return named
    return None
