"""Tokenizers, text and settings for tiny runs."""

from __future__ import annotations

from functools import cache
from pathlib import Path
from typing import Any

from tokenizers import AddedToken

from maskfork.learn.pretrain.settings import Settings
from maskfork.models.tokenizers import Tokenizer
from tests.learn.tiny import sentences, tokenizer

FAMILY = {"mlm": "bert", "clm": "llama", "span-corruption": "t5", "denoise": "bart"}
SIZES = {
    "bert": dict(num_hidden_layers=2, hidden_size=32, num_attention_heads=2, intermediate_size=64),
    "llama": dict(num_hidden_layers=2, hidden_size=32, num_attention_heads=2, num_key_value_heads=2, intermediate_size=64),
    "t5": dict(num_layers=2, d_model=32, num_heads=2, d_kv=16, d_ff=64),
    "bart": dict(encoder_layers=1, decoder_layers=1, d_model=32, encoder_attention_heads=2, decoder_attention_heads=2,
                 encoder_ffn_dim=64, decoder_ffn_dim=64),
}  # fmt: skip


def tokens_of(family: str) -> Tokenizer:
    """The tiny tokenizer of a family with all that the family's objective asks for."""
    made = tokenizer(family)
    if family == "t5":
        made.inner.add_special_tokens([AddedToken(f"<extra_id_{i}>", special=True) for i in range(20)])
    if family == "bart":
        made.inner.add_special_tokens([AddedToken("<mask>", special=True)])
        made.inner.add_tokens(["."])
        made.config["mask_token"] = "<mask>"
    return made


@cache
def text(count: int = 400) -> str:
    return "\n".join(s + "." for s in sentences(count, 7, longest=12)[0]) + "\n"


def ground(folder: Path, like: str = "mlm", **changes: Any) -> Settings:
    """Text and a tokenizer on disk, and settings that name them: those of this objective's family."""
    family = FAMILY[like]
    tokens_of(family).save(folder / "tok")
    (folder / "text.txt").write_text(text(), "utf-8")
    given: dict[str, Any] = dict(
        family=family, objective=like, tokenizer=str(folder / "tok"), data=(str(folder / "text.txt"),), length=24, rows=4,
        steps=20, log_every=1, precision="fp32", save_every=5, evaluate_every=10, schedule="wsd", average=0.9, accumulate=2,
    )  # fmt: skip
    return Settings(**{**given, **changes})
