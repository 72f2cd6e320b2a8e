"""A tokenizer for the benchmark's models, which have none and are given numbers: some peers do not open a folder without."""

from __future__ import annotations

import json
import shutil
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path


@contextmanager
def with_words(folder: Path, vocab: int) -> Iterator[Path]:
    """A copy of the folder in which token number N is called `tN`, for a while."""
    from tokenizers import Tokenizer
    from tokenizers.models import WordLevel

    copy = folder / "with-words"
    copy.mkdir(exist_ok=True)
    try:
        for name in ("config.json", "model.safetensors"):
            shutil.copy(folder / name, copy / name)
        Tokenizer(WordLevel({f"t{i}": i for i in range(vocab)}, unk_token="t0")).save(str(copy / "tokenizer.json"))
        named = {"tokenizer_class": "PreTrainedTokenizerFast", "unk_token": "t0", "bos_token": "t0", "eos_token": "t0"}
        (copy / "tokenizer_config.json").write_text(json.dumps(named), "utf-8")
        yield copy
    finally:
        shutil.rmtree(copy)
