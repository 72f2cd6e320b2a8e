"""Mid-size random models of every family, in transformers and, from the same folder, here: their tiny configs, scaled up."""

from __future__ import annotations

import inspect
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
from maskfork.core.spec import ExpertsSpec, ModelSpec
from maskfork.models.families import Config, Family, all_families
from maskfork.models.hub import load
from maskfork.models.model import Model
from support.ground import minilm

transformers.logging.set_verbosity_error()
transformers.utils.logging.disable_progress_bar()

VOCABULARY, WIDTH, HEADS, GROUPS, HEAD = 8000, 384, 6, 2, 64
# Six layers of 384 (three and three in an encoder-decoder), about the size of MiniLM's body. What a tiny config names and this
# table does not stays as it is.
SIZES: dict[str, int] = {
    **dict.fromkeys(("vocab_size", "decoder_vocab_size"), VOCABULARY),
    **dict.fromkeys(("hidden_size", "n_embd", "d_model", "dim", "pooler_hidden_size"), WIDTH),
    **dict.fromkeys(("num_hidden_layers", "n_layer", "n_layers"), 6),
    **dict.fromkeys(("encoder_layers", "decoder_layers", "num_layers", "num_decoder_layers"), 3),
    **dict.fromkeys(("num_attention_heads", "n_head", "n_heads", "num_heads"), HEADS),
    **dict.fromkeys(("encoder_attention_heads", "decoder_attention_heads"), HEADS),
    **dict.fromkeys(("head_dim", "d_kv", "v_head_dim", "query_pre_attn_scalar"), HEAD),
    **dict.fromkeys(
        ("intermediate_size", "n_inner", "encoder_ffn_dim", "decoder_ffn_dim", "d_ff", "d_inner", "hidden_dim"), 1536
    ),
    **dict.fromkeys(("sliding_window", "local_attention", "attention_window"), 64),
    **dict.fromkeys(("max_position_embeddings", "n_positions"), 1026),
    "embedding_size": 128,
    "moe_intermediate_size": 384,
    "q_lora_rank": 128,
    "kv_lora_rank": 64,
    "qk_nope_head_dim": 48,
    "qk_rope_head_dim": 16,
    "rotary_dim": 32,
    "block_size": 16,
    "position_buckets": 256,
    "relative_attention_num_buckets": 32,
    "relative_attention_max_distance": 128,
}
GATED = 1024  # of a feed-forward with three matrices
INNER = ("intermediate_size", "encoder_ffn_dim", "decoder_ffn_dim", "d_ff")
FIRST_TOKEN = 100  # below it are the special tokens
MINILM = "MiniLM"
NAMES = (MINILM, *sorted(all_families()))


def bench(family: Family) -> dict[str, Any]:
    """The family's first tiny config, with the sizes above."""
    tiny: Config = family.tiny[0]
    spec = family.spec({**tiny, "model_type": family.name})
    big = {key: SIZES.get(key, value) if isinstance(value, int) else value for key, value in tiny.items()}
    if "num_key_value_heads" in tiny:
        big["num_key_value_heads"] = GROUPS if spec.main.attention.num_kv_heads < spec.main.attention.num_heads else HEADS
    feed_forward = spec.main.feed_forward
    inner = feed_forward.expert if isinstance(feed_forward, ExpertsSpec) else feed_forward
    if inner.gated:
        big |= {key: GATED for key in INNER if key in tiny}
    return big


@dataclass
class Both:
    """One model on both sides, the same weights."""

    name: str
    ours: Model
    theirs: Any
    attention: str  # the implementation that transformers took
    side: str = "right"  # on which theirs is padded

    @property
    def spec(self) -> ModelSpec:
        return self.ours.spec

    @property
    def two_stacks(self) -> bool:
        return self.spec.fork == "encoder-decoder"

    @property
    def comparable(self) -> bool:
        """Whether both read a text alike, whatever its neighbours: BigBird's original counts blocks over the whole batch."""
        return not any(rule.needs_lengths for stack in (self.spec.encoder, self.spec.decoder) if stack for rule in stack.masks)

    def call_ours(self, batch: Batch) -> Tensor:
        return self.ours(batch, decoder_input_ids=batch if self.two_stacks else None).last_hidden_state

    def call_theirs(self, ids: Tensor, keep: Tensor) -> Tensor:
        more: dict[str, Any] = dict(decoder_input_ids=ids, decoder_attention_mask=keep) if self.two_stacks else {}
        if "use_cache" in inspect.signature(self.theirs.forward).parameters:
            more["use_cache"] = False
        out: Tensor = self.theirs(input_ids=ids, attention_mask=keep, **more).last_hidden_state
        return out

    def train(self, on: bool) -> None:
        self.ours.train(on)
        self.theirs.train(on)

    def padded(self, lists: Sequence[Sequence[int]]) -> tuple[Tensor, Tensor]:
        """(ids, mask) [B, S] as theirs wants them: some count places by their padding token."""
        fill = getattr(self.theirs.config, "pad_token_id", None) or 0
        return padded(lists, fill, self.side)


def both(name: str) -> Both:
    """Build with transformers, save, load here.

    SDPA where transformers has it for the family and it computes the same (it leaves out Gemma 2's capping of the logits), else
    its own attention.
    """
    torch.manual_seed(0)
    if name == MINILM:
        theirs = AutoModel.from_pretrained(minilm(), attn_implementation="sdpa", add_pooling_layer=False)
        return Both(name, load(minilm(), "none"), theirs.eval(), theirs.config._attn_implementation)
    family = all_families()[name]
    told = {k: v for k, v in family.oracle.items() if k not in ("lengths", "side")}
    config = AutoConfig.for_model(name, **{**bench(family), **told})
    kind = getattr(transformers, family.architectures[None])
    more = {"add_pooling_layer": False} if "add_pooling_layer" in inspect.signature(kind.__init__).parameters else {}
    capped = any(s.attention.softcap is not None for s in _stacks(family.spec({**bench(family), "model_type": name})))
    try:
        theirs = kind._from_config(config, attn_implementation="eager" if capped else "sdpa", **more)
    except ValueError:  # a family without it says so
        theirs = kind._from_config(config, attn_implementation="eager", **more)
    with tempfile.TemporaryDirectory() as folder:
        theirs.save_pretrained(folder)
        ours = load(Path(folder), "none")
    side = str(family.oracle.get("side", "right"))
    return Both(name, ours, theirs.eval(), theirs.config._attn_implementation, side)


def _stacks(spec: ModelSpec) -> list[Any]:
    return [stack for stack in (spec.encoder, spec.decoder) if stack is not None]


def sequences(lengths: Sequence[int], vocabulary: int = VOCABULARY) -> list[list[int]]:
    """Random ordinary token ids of these lengths."""
    generator = torch.Generator().manual_seed(1)
    return [torch.randint(FIRST_TOKEN, vocabulary, (n,), generator=generator).tolist() for n in lengths]


def padded(lists: Sequence[Sequence[int]], fill: int = 0, side: str = "right") -> tuple[Tensor, Tensor]:
    """(ids, mask) [B, S], padded on one side."""
    longest = max(len(ids) for ids in lists)
    ids, keep = torch.full((len(lists), longest), fill), torch.zeros(len(lists), longest, dtype=torch.long)
    for row, line in enumerate(lists):
        at = slice(0, len(line)) if side == "right" else slice(longest - len(line), longest)
        ids[row, at], keep[row, at] = torch.tensor(line), 1
    return ids, keep
