"""How large tiny, mini, small and base are, family by family.

BERT's are those that were published (Turc et al. 2019); T5's are Tay et al. 2021's; ELECTRA's small and base are its authors'.
The others have BERT's depth, width and heads.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, NamedTuple

from maskfork.errors import UsageError


class Size(NamedTuple):
    """Layers, width, heads."""

    layers: int
    width: int
    heads: int


BERT = {"tiny": Size(2, 128, 2), "mini": Size(4, 256, 4), "small": Size(4, 512, 8), "base": Size(12, 768, 12)}
T5 = {"tiny": Size(4, 256, 4), "mini": Size(4, 384, 8), "small": Size(6, 512, 8), "base": Size(12, 768, 12)}
ELECTRA = {"tiny": Size(2, 128, 2), "mini": Size(4, 256, 4), "small": Size(12, 256, 4), "base": Size(12, 768, 12)}
SIZES = tuple(BERT)

Make = Callable[[Size, int], dict[str, Any]]  # size and length to the config's own names


def _bert(size: Size, length: int) -> dict[str, Any]:
    return dict(
        num_hidden_layers=size.layers, hidden_size=size.width, num_attention_heads=size.heads, intermediate_size=4 * size.width,
        max_position_embeddings=length,
    )  # fmt: skip


def _roberta(size: Size, length: int) -> dict[str, Any]:
    """Its places are counted from two."""
    return {**_bert(size, length + 2), "type_vocab_size": 1, "layer_norm_eps": 1e-5}


def _electra(size: Size, length: int) -> dict[str, Any]:
    return {**_bert(size, length), "embedding_size": size.width if size.width > 512 else min(128, size.width)}


def _gpt2(size: Size, length: int) -> dict[str, Any]:
    return dict(n_layer=size.layers, n_embd=size.width, n_head=size.heads, n_positions=length)


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


FAMILIES: dict[str, tuple[dict[str, Size], Make, tuple[str, ...]]] = {
    "bert": (BERT, _bert, ("hidden_dropout_prob", "attention_probs_dropout_prob")),
    "roberta": (BERT, _roberta, ("hidden_dropout_prob", "attention_probs_dropout_prob")),
    "electra": (ELECTRA, _electra, ("hidden_dropout_prob", "attention_probs_dropout_prob")),
    "gpt2": (BERT, _gpt2, ("resid_pdrop", "attn_pdrop")),
    "llama": (BERT, _llama, ("attention_dropout",)),
    "t5": (T5, _t5, ("dropout_rate",)),
    "bart": (BERT, _bart, ("dropout", "attention_dropout")),
}


def config_of(family: str, size: str, length: int, dropout: float | None = None) -> dict[str, Any]:
    """The sizes of a fresh model's config. Raises UsageError with what there is."""
    if family not in FAMILIES:
        raise UsageError(
            f"there are no sizes for {family!r}: a fresh model is of {', '.join(FAMILIES)}, others go on with --from"
        )
    sizes, make, drops = FAMILIES[family]
    if size not in sizes:
        raise UsageError(f"a model is {', '.join(sizes)}, not {size!r}")
    config = {"model_type": family, **make(sizes[size], length)}
    return config if dropout is None else {**config, **dict.fromkeys(drops, dropout)}
