"""Tiny models with tokenizers of their own: random weights, a few hundred tokens, every family's way of special tokens."""

from __future__ import annotations

from functools import cache
from typing import Any

import numpy as np
import tokenizers
import torch
from tokenizers import decoders, models, normalizers, pre_tokenizers, processors, trainers

from maskfork import Model
from maskfork.learn.data.rows import Rows
from maskfork.models.families import all_families
from maskfork.models.hub import build
from maskfork.models.tokenizers import Tokenizer

GOOD = ("lovely", "bright", "tender", "funny", "superb", "warm", "clever")
BAD = ("dull", "clumsy", "bleak", "noisy", "awful", "stale", "hollow")
PLAIN = ("film", "story", "scene", "actor", "ending", "music", "camera", "the", "a", "of", "with", "and", "plot", "light")


def sentences(count: int, seed: int = 0, longest: int = 9) -> tuple[list[str], np.ndarray]:
    """Texts in which one word decides the label (1 good, 0 bad), of unlike lengths."""
    rng = np.random.default_rng(seed)
    texts, labels = [], np.arange(count) % 2
    for label in labels:
        words = [str(w) for w in rng.choice(PLAIN, rng.integers(2, longest))]
        words.insert(int(rng.integers(0, len(words) + 1)), str(rng.choice(GOOD if label else BAD)))
        texts.append(" ".join(words))
    return texts, labels


def rows(count: int, seed: int = 0, *, pairs: bool = False, names: tuple[str, ...] = ("bad", "good")) -> Rows:
    texts, labels = sentences(count, seed)
    second = tuple(sentences(count, seed + 1000)[0]) if pairs else None
    return Rows(tuple(texts), second, labels.astype(np.int64), names, np.arange(count))


CORPUS = [*sentences(300, 99)[0], "Classify each text as good or bad.", "Text: a film", "Label: good", "Label: bad"]
SPECIAL = {
    "bert": dict(pad="[PAD]", unk="[UNK]", cls="[CLS]", sep="[SEP]", mask="[MASK]"),
    "gpt2": dict(bos="<|endoftext|>", eos="<|endoftext|>"),
    "llama": dict(unk="<unk>", bos="<s>", eos="</s>"),
    "bart": dict(bos="<s>", pad="<pad>", eos="</s>", unk="<unk>"),
    "t5": dict(pad="<pad>", eos="</s>", unk="<unk>"),
}


@cache
def _trained(family: str) -> str:
    special = list(dict.fromkeys(SPECIAL[family].values()))
    more = dict(vocab_size=400, special_tokens=special, show_progress=False)
    if family == "bert":
        inner = tokenizers.Tokenizer(models.WordPiece(unk_token="[UNK]"))
        inner.normalizer, inner.pre_tokenizer = normalizers.BertNormalizer(), pre_tokenizers.BertPreTokenizer()
        trainer: Any = trainers.WordPieceTrainer(**more)
    elif family == "t5":
        inner = tokenizers.Tokenizer(models.Unigram())
        inner.pre_tokenizer, inner.decoder = pre_tokenizers.Metaspace(), decoders.Metaspace()
        trainer = trainers.UnigramTrainer(**more, unk_token="<unk>")
    elif family == "llama":  # as sentencepiece's: a space of its own before every text
        inner = tokenizers.Tokenizer(models.BPE(unk_token="<unk>"))
        inner.normalizer = normalizers.Sequence([normalizers.Prepend("▁"), normalizers.Replace(" ", "▁")])
        inner.pre_tokenizer = pre_tokenizers.Split("▁", "merged_with_next")
        trainer = trainers.BpeTrainer(**more)
    else:
        inner = tokenizers.Tokenizer(models.BPE())
        inner.pre_tokenizer, inner.decoder = pre_tokenizers.ByteLevel(add_prefix_space=False), decoders.ByteLevel()
        trainer = trainers.BpeTrainer(**more, initial_alphabet=pre_tokenizers.ByteLevel.alphabet())
    inner.train_from_iterator(CORPUS, trainer)
    forms = {
        "bert": ("[CLS] $A [SEP]", "[CLS] $A [SEP] $B:1 [SEP]:1"), "llama": ("<s> $A", "<s> $A <s> $B"),
        "bart": ("<s> $A </s>", "<s> $A </s> </s> $B </s>"), "t5": ("$A </s>", "$A </s> $B </s>"),
    }  # fmt: skip
    if family in forms:
        single, pair = forms[family]
        ids = [(t, inner.token_to_id(t)) for t in special]
        inner.post_processor = processors.TemplateProcessing(single=single, pair=pair, special_tokens=ids)
    text: str = inner.to_str()
    return text


def tokenizer(family: str) -> Tokenizer:
    config = {f"{name}_token": token for name, token in SPECIAL[family].items()}
    return Tokenizer(tokenizers.Tokenizer.from_str(_trained(family)), config)


def make(family: str, head: str | None = None, *, seed: int = 0, labels: tuple[str, ...] | None = None, **changes: Any) -> Model:
    """A model of random weights, large enough that no two answers are alike by rounding."""
    own = tokenizer(family)
    ids = {f"{name}_token_id": own.id(token) for name, token in SPECIAL[family].items() if name in ("pad", "bos", "eos")}
    start = {
        "t5": {"decoder_start_token_id": ids.get("pad_token_id")},
        "bart": {"decoder_start_token_id": ids.get("eos_token_id")},
    }
    config = {
        **all_families()[family].tiny[0], "model_type": family, "vocab_size": own.size, **ids, **start.get(family, {}), **changes,
    }  # fmt: skip
    model = build(config, head, seed=seed, labels=labels)
    generator = torch.Generator().manual_seed(seed)
    with torch.no_grad():
        for name, p in model.named_parameters():
            if p.dim() > 1:
                p.normal_(0.0, 0.15, generator=generator)
            elif name.endswith("bias"):
                p.normal_(0.0, 0.1, generator=generator)
    model.tokenizer = own
    return model
