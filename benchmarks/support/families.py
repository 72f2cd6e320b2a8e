"""Mid-size random models of the six families, in transformers and, from the same folder, here."""

from __future__ import annotations

import tempfile
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import torch
import transformers
from torch import Tensor
from transformers import AutoConfig, AutoModel

from maskfork.core.batch import Batch
from maskfork.models.hub import load
from maskfork.models.model import Model
from support.ground import minilm

transformers.logging.set_verbosity_error()
transformers.utils.logging.disable_progress_bar()

VOCABULARY = 8000
# Six layers of 384 (three and three in an encoder-decoder), about the size of MiniLM's body.
CONFIGS: dict[str, dict[str, Any]] = {
    "bert": dict(hidden_size=384, num_hidden_layers=6, num_attention_heads=6, intermediate_size=1536),
    "gpt2": dict(n_embd=384, n_layer=6, n_head=6, n_positions=512, bos_token_id=1, eos_token_id=1),
    "llama": dict(
        hidden_size=384, num_hidden_layers=6, num_attention_heads=6, num_key_value_heads=2, intermediate_size=1024,
        max_position_embeddings=512,
    ),
    "bart": dict(
        d_model=384, encoder_layers=3, decoder_layers=3, encoder_attention_heads=6, decoder_attention_heads=6,
        encoder_ffn_dim=1536, decoder_ffn_dim=1536, max_position_embeddings=512,
    ),
    "t5": dict(d_model=384, d_kv=64, d_ff=1536, num_layers=3, num_decoder_layers=3, num_heads=6, decoder_start_token_id=0),
    "deberta-v2": dict(
        hidden_size=384, num_hidden_layers=6, num_attention_heads=6, intermediate_size=1536, relative_attention=True,
        pos_att_type="p2c|c2p", position_buckets=256, share_att_key=True, norm_rel_ebd="layer_norm",
        position_biased_input=False, type_vocab_size=0,
    ),
}  # fmt: skip
NAMES = ("MiniLM", *CONFIGS)
TWO_STACKS = ("bart", "t5")


@dataclass
class Both:
    """One model on both sides, the same weights."""

    name: str
    ours: Model
    theirs: Any
    attention: str  # the implementation that transformers took

    @property
    def two_stacks(self) -> bool:
        return self.name in TWO_STACKS

    def call_ours(self, batch: Batch) -> Tensor:
        return self.ours(batch, decoder_input_ids=batch if self.two_stacks else None).last_hidden_state

    def call_theirs(self, ids: Tensor, keep: Tensor) -> Tensor:
        more = dict(decoder_input_ids=ids, decoder_attention_mask=keep) if self.two_stacks else {}
        if self.name not in ("MiniLM", "bert", "deberta-v2"):
            more["use_cache"] = False
        out: Tensor = self.theirs(input_ids=ids, attention_mask=keep, **more).last_hidden_state
        return out

    def train(self, on: bool) -> None:
        self.ours.train(on)
        self.theirs.train(on)


def both(name: str) -> Both:
    """Build with transformers, save, load here. SDPA where transformers has it for the family, else its own."""
    torch.manual_seed(0)
    if name == "MiniLM":
        theirs = AutoModel.from_pretrained(minilm(), attn_implementation="sdpa", add_pooling_layer=False)
        return Both(name, load(minilm(), "none"), theirs.eval(), theirs.config._attn_implementation)
    config = AutoConfig.for_model(name, vocab_size=VOCABULARY, **CONFIGS[name])
    more = dict(add_pooling_layer=False) if name == "bert" else {}
    try:
        theirs = AutoModel.from_config(config, attn_implementation="sdpa", **more)
    except ValueError:  # a family without it says so
        theirs = AutoModel.from_config(config, attn_implementation="eager", **more)
    with tempfile.TemporaryDirectory() as folder:
        theirs.save_pretrained(folder)
        ours = load(Path(folder), "none")
    return Both(name, ours, theirs.eval(), theirs.config._attn_implementation)


def sequences(lengths: Sequence[int], vocabulary: int = VOCABULARY) -> list[list[int]]:
    """Random ordinary token ids of these lengths."""
    generator = torch.Generator().manual_seed(1)
    return [torch.randint(10, vocabulary, (n,), generator=generator).tolist() for n in lengths]


def padded(lists: Sequence[Sequence[int]]) -> tuple[Tensor, Tensor]:
    """(ids, mask) [B, S], padded on the right."""
    longest = max(len(ids) for ids in lists)
    ids, keep = torch.zeros(len(lists), longest, dtype=torch.long), torch.zeros(len(lists), longest, dtype=torch.long)
    for row, line in enumerate(lists):
        ids[row, : len(line)], keep[row, : len(line)] = torch.tensor(line), 1
    return ids, keep
