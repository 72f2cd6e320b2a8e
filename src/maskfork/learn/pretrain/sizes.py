"""How large tiny, mini, small and base are, family by family.

BERT's are those that were published (Turc et al. 2019); T5's are Tay et al. 2021's; ELECTRA's small and base are its authors'.
The others have BERT's depth, width and heads, and keep the proportions of their own published config: how wide a feed-forward
is, how many heads share keys, what a head's size is. Llama, T5 and BART, whose published configs are of large models or count
their layers otherwise, are written out.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from types import MappingProxyType
from typing import Any, NamedTuple

from maskfork.core.spec import ModelSpec
from maskfork.errors import UsageError
from maskfork.models.families import Family, all_families


class Size(NamedTuple):
    """Layers, width, heads."""

    layers: int
    width: int
    heads: int


BERT = {"tiny": Size(2, 128, 2), "mini": Size(4, 256, 4), "small": Size(4, 512, 8), "base": Size(12, 768, 12)}
T5 = {"tiny": Size(4, 256, 4), "mini": Size(4, 384, 8), "small": Size(6, 512, 8), "base": Size(12, 768, 12)}
ELECTRA = {"tiny": Size(2, 128, 2), "mini": Size(4, 256, 4), "small": Size(12, 256, 4), "base": Size(12, 768, 12)}
OWN = {"t5": T5, "mt5": T5, "electra": ELECTRA}
SIZES = tuple(BERT)

DEPTH = ("num_hidden_layers", "n_layer", "n_layers", "num_layers", "encoder_layers", "decoder_layers")
WIDTH = ("hidden_size", "d_model", "n_embd", "dim")
HEADS = ("num_attention_heads", "n_head", "n_heads", "num_heads", "encoder_attention_heads", "decoder_attention_heads")
INNER = ("intermediate_size", "d_inner", "n_inner", "d_ff", "hidden_dim", "encoder_ffn_dim", "decoder_ffn_dim",
         "moe_intermediate_size")  # fmt: skip
PLACES = ("max_position_embeddings", "n_positions")
EXPERTS = {"num_local_experts": 8, "num_experts": 8, "n_routed_experts": 8, "num_experts_per_tok": 2}  # at most
GROUPS = ("n_group", "topk_group", "first_k_dense_replace")
RANKS = {"q_lora_rank": 4, "kv_lora_rank": 4}  # of the width, one part in so many; DeepSeek-V3's are 4.7 and 14
PARTS = {"qk_nope_head_dim": 1.0, "qk_rope_head_dim": 0.5, "v_head_dim": 1.0}  # of a head's size
DROPS = ("hidden_dropout_prob", "attention_probs_dropout_prob", "hidden_dropout", "attention_dropout", "mlp_dropout",
         "embedding_dropout", "dropout", "dropout_rate", "resid_pdrop", "attn_pdrop", "embd_pdrop")  # fmt: skip

Make = Callable[[Size, int], dict[str, Any]]  # size and length to the config's own names


def _llama(size: Size, length: int) -> dict[str, Any]:
    return dict(
        num_hidden_layers=size.layers, hidden_size=size.width, num_attention_heads=size.heads, num_key_value_heads=size.heads,
        intermediate_size=-(-size.width * 8 // 3 // 32) * 32, max_position_embeddings=length, rms_norm_eps=1e-5,
        rope_theta=10000.0, tie_word_embeddings=True,
    )  # fmt: skip


def _t5(size: Size, length: int) -> dict[str, Any]:
    return dict(num_layers=size.layers, d_model=size.width, num_heads=size.heads, d_kv=64, d_ff=4 * size.width)


def _bart(size: Size, length: int) -> dict[str, Any]:
    """Half of the layers on each side. An infilled text may be longer than the text: twice the places."""
    each = max(1, size.layers // 2)
    return dict(
        encoder_layers=each, decoder_layers=each, d_model=size.width, encoder_attention_heads=size.heads,
        decoder_attention_heads=size.heads, encoder_ffn_dim=4 * size.width, decoder_ffn_dim=4 * size.width,
        max_position_embeddings=2 * length,
    )  # fmt: skip


MADE: dict[str, Make] = {
    "llama": _llama, "t5": _t5, "mt5": _t5, "bart": _bart, "mbart": _bart, "marian": _bart, "pegasus": _bart,
}  # fmt: skip


def config_of(
    family: str, size: str, length: int, dropout: float | None = None, ids: Mapping[str, Any] = MappingProxyType({})
) -> dict[str, Any]:
    """The sizes of a fresh model's config; `ids` are those of its special tokens. Raises UsageError with what there is."""
    known = all_families()[family]
    if size not in SIZES:
        raise UsageError(f"a model is {', '.join(SIZES)}, not {size!r}")
    wanted = OWN.get(family, BERT)[size]
    config = {"model_type": family, **ids, **(MADE[family](wanted, length) if family in MADE else _scaled(known, wanted))}
    longest = _spec(known, config | dict.fromkeys((n for n in PLACES if n in config), length)).max_length
    for name in PLACES:
        if name in config and family not in MADE:  # RoBERTa counts its places from its padding token's number
            config[name] = length if longest is None else 2 * length - longest
    return config if dropout is None else {**config, **{name: dropout for name in DROPS if _reads(known, config, name)}}


def _scaled(family: Family, size: Size) -> dict[str, Any]:
    """The nearest published config at another size. What only the family's small config names is set to what is usual."""
    known = min((dict(one.config) for one in family.published), key=lambda one: abs(_first(one, WIDTH) - size.width))
    added = (*DEPTH, *WIDTH, *HEADS, *INNER, *PLACES, *EXPERTS, *GROUPS, *RANKS, *PARTS)
    config = {**{name: family.tiny[0][name] for name in family.tiny[0] if name in added}, **known}
    config.pop("vocab_size", None)
    wide, heads = _first(known, WIDTH), _first(known, HEADS)
    for name, value in config.items():
        if name in DEPTH:
            config[name] = size.layers
        elif name in WIDTH:
            config[name] = size.width
        elif name in HEADS:
            config[name] = size.heads
        elif name in INNER:
            config[name] = _round(known[name] * size.width / wide) if name in known else 4 * size.width
        elif name in EXPERTS:
            config[name] = min(value, EXPERTS[name])
        elif name in RANKS:
            config[name] = _round(size.width / RANKS[name])
        elif name in PARTS:
            config[name] = _round(size.width / size.heads * PARTS[name])
    if "embedding_size" in config:
        config["embedding_size"] = size.width if known["embedding_size"] == wide else min(known["embedding_size"], size.width)
    if "num_key_value_heads" in known:
        share = size.heads * known["num_key_value_heads"] / heads
        config["num_key_value_heads"] = max(n for n in range(1, size.heads + 1) if size.heads % n == 0 and n <= max(1.0, share))
    elif "num_key_value_heads" in config:
        config["num_key_value_heads"] = size.heads
    if "head_dim" in config:
        config["head_dim"] = _round(config["head_dim"] * heads / wide * size.width / size.heads)
    return config


def _first(config: Mapping[str, Any], names: Sequence[str]) -> int:
    return int(next(config[name] for name in names if name in config))


def _round(value: float) -> int:
    """To a multiple of eight, and no less."""
    return max(8, round(value / 8) * 8)


def _reads(family: Family, config: dict[str, Any], name: str) -> bool:
    """Whether the model depends on this setting."""
    return _spec(family, {**config, name: 0.37}) != _spec(family, config)


def _spec(family: Family, config: dict[str, Any]) -> ModelSpec:
    return family.spec({"model_type": family.name, "vocab_size": 64, "pad_token_id": 0, **config})
