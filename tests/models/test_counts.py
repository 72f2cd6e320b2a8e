"""Published parameter counts, on the meta device."""

from __future__ import annotations

from typing import Any

import pytest
import torch

from maskfork.models.families import family_of
from maskfork.models.model import Model

PUBLISHED: dict[str, tuple[int, str | None, dict[str, Any]]] = {
    "bert-base-uncased": (109_482_240, "pool", dict(
        model_type="bert", vocab_size=30522, hidden_size=768, num_hidden_layers=12, num_attention_heads=12,
        intermediate_size=3072, max_position_embeddings=512, type_vocab_size=2)),
    "gpt2": (124_439_808, "causal_lm", dict(
        model_type="gpt2", vocab_size=50257, n_embd=768, n_layer=12, n_head=12, n_positions=1024)),
    "Llama-3-8B": (8_030_261_248, "causal_lm", dict(
        model_type="llama", vocab_size=128256, hidden_size=4096, num_hidden_layers=32, num_attention_heads=32,
        num_key_value_heads=8, intermediate_size=14336, max_position_embeddings=8192, rope_theta=500000.0,
        tie_word_embeddings=False)),
    "t5-small": (60_506_624, "causal_lm", dict(
        model_type="t5", vocab_size=32128, d_model=512, d_kv=64, d_ff=2048, num_layers=6, num_heads=8)),
    "bart-base": (139_420_416, None, dict(
        model_type="bart", vocab_size=50265, d_model=768, encoder_layers=6, decoder_layers=6, encoder_attention_heads=12,
        decoder_attention_heads=12, encoder_ffn_dim=3072, decoder_ffn_dim=3072, max_position_embeddings=1024)),
    "deberta-v3-base": (183_831_552, None, dict(
        model_type="deberta-v2", vocab_size=128100, hidden_size=768, num_hidden_layers=12, num_attention_heads=12,
        intermediate_size=3072, max_position_embeddings=512, type_vocab_size=0, relative_attention=True,
        position_biased_input=False, pos_att_type="p2c|c2p", share_att_key=True, position_buckets=256,
        norm_rel_ebd="layer_norm")),
}  # fmt: skip


@pytest.mark.parametrize("name", list(PUBLISHED))
def test_count(name: str) -> None:
    count, head, config = PUBLISHED[name]
    family = family_of(config)
    spec = family.spec(config)
    if head is not None:
        spec = spec.replace(head=family.head(head, config))
    with torch.device("meta"):
        model = Model(spec, config)
    assert sum(p.numel() for p in model.parameters()) == count
