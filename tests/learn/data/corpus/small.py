"""Small tokenizers and texts: trained here, of the three ways in which tokenizers mark words."""

from __future__ import annotations

import json
from functools import cache
from pathlib import Path

import numpy as np
import tokenizers
from tokenizers import decoders, models, normalizers, pre_tokenizers, processors, trainers

from maskfork.models.tokenizers import Tokenizer

SENTENCE = "the cat sat on a mat; unbelievable dogs ran away, didn't they? Élan vital! 2024 was (quite) odd: x=1.5 straße"
WORDS = SENTENCE.split()


def texts(count: int, seed: int = 0, longest: int = 60) -> list[str]:
    """Documents of words, some with line breaks and double spaces."""
    rng = np.random.default_rng(seed)
    found = []
    for number in range(count):
        words = [str(w) for w in rng.choice(WORDS, int(rng.integers(1, longest)))]
        marks = rng.choice([" ", " ", " ", "  ", "\n", "\n\n", "\t"], len(words))
        found.append(f"{number} " + "".join(w + str(m) for w, m in zip(words, marks, strict=True)).strip())
    return found


def tokenizer(kind: str = "wordpiece") -> Tokenizer:
    """wordpiece (BERT's), bytes (GPT-2's), unigram (T5's), letters (one token a character).

    One a process: two trainings of a WordPiece are not alike.
    """
    return _trained(kind)


@cache
def _trained(kind: str) -> Tokenizer:
    sample = texts(400, seed=99)
    if kind == "wordpiece":
        inner = tokenizers.Tokenizer(models.WordPiece(unk_token="[UNK]"))
        inner.normalizer = normalizers.BertNormalizer()
        inner.pre_tokenizer = pre_tokenizers.BertPreTokenizer()
        special = ["[PAD]", "[UNK]", "[CLS]", "[SEP]", "[MASK]"]
        inner.train_from_iterator(sample, trainers.WordPieceTrainer(vocab_size=200, special_tokens=special, show_progress=False))
        inner.post_processor = processors.BertProcessing(("[SEP]", 3), ("[CLS]", 2))
        names = {f"{n.strip('[]').lower()}_token": n for n in special}
    elif kind == "bytes":
        inner = tokenizers.Tokenizer(models.BPE())
        inner.pre_tokenizer = pre_tokenizers.ByteLevel(add_prefix_space=False)
        inner.decoder = decoders.ByteLevel()
        alphabet = pre_tokenizers.ByteLevel.alphabet()
        inner.train_from_iterator(
            sample,
            trainers.BpeTrainer(vocab_size=320, special_tokens=["<|endoftext|>"], initial_alphabet=alphabet, show_progress=False),
        )
        names = {"bos_token": "<|endoftext|>", "eos_token": "<|endoftext|>"}
    elif kind == "unigram":
        inner = tokenizers.Tokenizer(models.Unigram())
        inner.pre_tokenizer = pre_tokenizers.Sequence([pre_tokenizers.WhitespaceSplit(), pre_tokenizers.Metaspace()])
        inner.decoder = decoders.Metaspace()
        special = ["<pad>", "</s>", "<unk>"]
        inner.train_from_iterator(
            sample, trainers.UnigramTrainer(vocab_size=120, special_tokens=special, unk_token="<unk>", show_progress=False)
        )
        inner.post_processor = processors.TemplateProcessing(
            single="$A </s>", pair="$A </s> $B </s>", special_tokens=[("</s>", 1)]
        )
        names = {"pad_token": "<pad>", "eos_token": "</s>", "unk_token": "<unk>"}
    else:
        letters = {chr(c): c - 9 for c in range(9, 400)}
        inner = tokenizers.Tokenizer(models.BPE(vocab=letters, merges=[]))
        inner.pre_tokenizer = pre_tokenizers.Split("", "isolated")
        names = {}
    return Tokenizer(inner, names)


KINDS = ("wordpiece", "bytes", "unigram", "letters")


def jsonl(path: Path, found: list[str], field: str = "text") -> Path:
    path.write_text("".join(json.dumps({"id": i, field: text}) + "\n" for i, text in enumerate(found)), "utf-8")
    return path
