"""The oracle: tiny random models of `transformers`, and texts for them in every layout."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import torch
import transformers
from torch import Tensor

from maskfork.core.batch import Batch
from maskfork.models.families import Config, Family, all_families

transformers.logging.set_verbosity_error()

FAMILIES = ("bert", "gpt2", "llama", "bart", "t5", "deberta-v2")

# Configs odder than the families' own, where checkpoints of the family do vary.
ODD: dict[str, tuple[dict[str, Any], ...]] = {
    "bert": ({"hidden_act": "silu", "type_vocab_size": 1, "num_labels": 5}, {"hidden_size": 24, "num_attention_heads": 3}),
    "gpt2": ({"n_head": 1, "activation_function": "gelu", "num_labels": 4},
             {"n_embd": 24, "n_head": 3, "activation_function": "silu"}),
    "llama": (
        {"hidden_size": 36, "num_attention_heads": 6, "num_key_value_heads": 3, "head_dim": 12, "hidden_act": "relu",
         "rms_norm_eps": 1e-3},
        {"rope_parameters": {"rope_type": "linear", "rope_theta": 300.0, "factor": 4.0}, "num_labels": 3},
    ),
    "bart": (
        {"activation_function": "silu", "scale_embedding": True, "decoder_attention_heads": 1},
        {"encoder_layers": 3, "decoder_layers": 1, "decoder_ffn_dim": 20, "num_labels": 2},
    ),
    "t5": (
        {"tie_word_embeddings": False, "feed_forward_proj": "gated-silu", "num_decoder_layers": 1},
        {"relative_attention_num_buckets": 4, "relative_attention_max_distance": 6, "num_heads": 3, "d_kv": 5, "num_labels": 4},
    ),
    "deberta-v2": (
        {"pos_att_type": "p2c", "share_att_key": False, "max_relative_positions": 5, "position_buckets": -1,
         "conv_kernel_size": 5},
        {"relative_attention": False, "pos_att_type": None, "position_biased_input": True, "norm_rel_ebd": "none"},
        {"embedding_size": 20, "pos_att_type": "c2p|p2c", "conv_kernel_size": 3, "conv_groups": 2, "num_labels": 3},
        {"tie_word_embeddings": False, "hidden_act": "relu", "type_vocab_size": 3},
    ),
}  # fmt: skip


@dataclass(frozen=True)
class Case:
    """A family, one of its configs and a head (None for the bare body)."""

    family: str
    number: int
    head: str | None

    def __str__(self) -> str:
        return f"{self.family}-{self.number}-{self.head or 'bare'}"

    @property
    def data(self) -> Family:
        return all_families()[self.family]

    @property
    def config(self) -> dict[str, Any]:
        return configs(self.family)[self.number]

    @property
    def two_stacks(self) -> bool:
        return self.family in ("bart", "t5")


def configs(family: str) -> list[dict[str, Any]]:
    """The family's tiny configs and the odd ones."""
    tiny: tuple[Config, ...] = all_families()[family].tiny
    return [dict(c) for c in tiny] + [{**tiny[0], **odd} for odd in ODD[family]]


def cases() -> Iterator[Case]:
    for family in FAMILIES:
        for number in range(len(configs(family))):
            for head in all_families()[family].architectures:
                yield Case(family, number, head)


def theirs(case: Case, seed: int = 0) -> transformers.PreTrainedModel:
    """A model of `transformers` with random weights in which no bias is zero and no norm is one."""
    config = transformers.AutoConfig.for_model(case.family, **case.config)
    if case.head == "classify":
        config.pad_token_id = config.pad_token_id if config.pad_token_id is not None else 0
    config._attn_implementation = "eager"
    kind = getattr(transformers, case.data.architectures[case.head])
    torch.manual_seed(seed)
    model = kind(config, add_pooling_layer=False) if case.family == "bert" and case.head is None else kind(config)
    with torch.no_grad():
        for name, p in model.named_parameters():
            if p.dim() == 1 and name.endswith("weight"):
                p.copy_(1 + 0.2 * torch.randn_like(p))
            else:
                p.copy_(torch.randn_like(p) * (0.15 if p.dim() > 1 else 0.1))
        for name, buffer in model.named_buffers():
            if name.endswith("final_logits_bias"):
                buffer.copy_(0.1 * torch.randn_like(buffer))
    return model.eval()


def saved(case: Case, folder: Path, seed: int = 0) -> transformers.PreTrainedModel:
    model = theirs(case, seed)
    model.save_pretrained(folder)
    return model


LENGTHS = (5, 9, 1, 9)
TARGETS = (4, 2, 6, 1)


def sequences(case: Case, lengths: tuple[int, ...] = LENGTHS, seed: int = 1) -> list[list[int]]:
    """Token ids without padding or end-of-text inside; a classifier's end with end-of-text."""
    generator = torch.Generator().manual_seed(seed)
    made = [torch.randint(5, 95, (n,), generator=generator).tolist() for n in lengths]
    if case.head == "classify" and case.two_stacks:
        eos = {"bart": 2, "t5": 1}[case.family]
        made = [[*ids[:-1], eos] for ids in made]
    return made


def types_of(case: Case, lists: list[list[int]]) -> list[list[int]] | None:
    count = case.config.get("type_vocab_size", 0)
    return [[(i * 7 // 5) % count for i in range(len(ids))] for ids in lists] if count and count > 1 else None


def pad(lists: list[list[int]], side: str, fill: int = 0) -> tuple[Tensor, Tensor]:
    """(ids, mask) [B, S] padded on one side. The padding is a real token, so that a reader of it would be caught."""
    longest = max(len(ids) for ids in lists)
    ids, mask = torch.full((len(lists), longest), fill), torch.zeros(len(lists), longest, dtype=torch.long)
    for row, line in enumerate(lists):
        where = slice(0, len(line)) if side == "right" else slice(longest - len(line), longest)
        ids[row, where], mask[row, where] = torch.tensor(line), 1
    return ids, mask


def batch_of(lists: list[list[int]], types: list[list[int]] | None, layout: str, fill: int = 0) -> Batch:
    """The sequences as our batch: `right`, `left` or `packed`."""
    if layout == "packed":
        return Batch.packed(lists, types)
    ids, mask = pad(lists, layout, fill)
    return Batch.padded(ids, mask, None if types is None else pad(types, layout)[0])


def weigh(values: Tensor, seed: int = 3) -> Tensor:
    """A fixed random weighting, so that a sum of it has a gradient everywhere."""
    return torch.randn(values.shape, generator=torch.Generator().manual_seed(seed))


def position_ids(mask: Tensor) -> Tensor:
    return (mask.cumsum(-1) - 1).clamp_min(0)
