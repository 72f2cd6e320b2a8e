"""The special tokens that a vocabulary has around its texts, told from the tokens that it holds."""

from __future__ import annotations

from dataclasses import dataclass

import tokenizers
from tokenizers import AddedToken, processors

NAMES = ("bos", "eos", "unk", "pad", "cls", "sep", "mask")


@dataclass(frozen=True)
class Frame:
    """`single` and `pair` as TemplateProcessing writes them. `named`: what each special token is for."""

    single: str
    pair: str
    named: dict[str, str]


BERT = Frame(
    "[CLS] $A [SEP]",
    "[CLS] $A [SEP] $B:1 [SEP]:1",
    {"cls": "[CLS]", "sep": "[SEP]", "unk": "[UNK]", "pad": "[PAD]", "mask": "[MASK]"},
)
ROBERTA = Frame(
    "<s> $A </s>",
    "<s> $A </s> </s> $B </s>",
    {"cls": "<s>", "sep": "</s>", "unk": "<unk>", "pad": "<pad>", "mask": "<mask>", "bos": "<s>", "eos": "</s>"},
)
XLNET = Frame(
    "$A:0 <sep>:0 <cls>:2",
    "$A:0 <sep>:0 $B:1 <sep>:1 <cls>:2",
    {"bos": "<s>", "eos": "</s>", "unk": "<unk>", "sep": "<sep>", "pad": "<pad>", "cls": "<cls>", "mask": "<mask>"},
)
T5 = Frame("$A </s>", "$A </s> $B </s>", {"eos": "</s>", "unk": "<unk>", "pad": "<pad>"})
LLAMA = Frame("<s> $A", "<s> $A <s>:1 $B:1", {"bos": "<s>", "eos": "</s>", "unk": "<unk>"})
GEMMA = Frame("<bos> $A", "<bos> $A <bos>:1 $B:1", {"bos": "<bos>", "eos": "<eos>", "unk": "<unk>", "pad": "<pad>"})
GPT2 = Frame("$A", "$A $B:1", {"bos": "<|endoftext|>", "eos": "<|endoftext|>", "unk": "<|endoftext|>"})
BARE = Frame("$A", "$A $B:1", {"bos": "<s>", "eos": "</s>", "unk": "<unk>", "pad": "<pad>", "mask": "<mask>"})


def known_names(inner: tokenizers.Tokenizer, frame: Frame) -> dict[str, str]:
    """tokenizer_config.json's names for those of the frame's tokens that the vocabulary has."""
    return {f"{name}_token": token for name, token in frame.named.items() if inner.token_to_id(token) is not None}


def add_special(inner: tokenizers.Tokenizer, frame: Frame, *, greedy_mask: bool = False) -> None:
    """Make the frame's tokens that the vocabulary has special. A greedy mask takes the space before it along."""
    for name, token in frame.named.items():
        if inner.token_to_id(token) is not None:
            inner.add_special_tokens([
                AddedToken(token, lstrip=greedy_mask and name == "mask", special=True, normalized=False)
            ])  # fmt: skip


def put_around(inner: tokenizers.Tokenizer, frame: Frame) -> None:
    """Texts get the frame. Its tokens must be in the vocabulary."""
    used = {word.split(":")[0] for word in frame.pair.split()} - {"$A", "$B"}
    template = processors.TemplateProcessing(
        single=frame.single, pair=frame.pair, special_tokens=[(token, inner.token_to_id(token)) for token in sorted(used)]
    )
    before = inner.post_processor
    inner.post_processor = template if before is None else processors.Sequence([before, template])


def put_around_bytes(inner: tokenizers.Tokenizer, frame: Frame) -> None:
    """As `put_around`, with the library's own two, which know where a byte-level token's spaces belong."""
    first, last = ((token, int(inner.token_to_id(token) or 0)) for token in (frame.named["cls"], frame.named["sep"]))
    kind = processors.RobertaProcessing if frame is ROBERTA else processors.BertProcessing
    inner.post_processor = kind(last, first)
