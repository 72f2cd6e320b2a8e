"""Which folder a model's name means: one of the two models that come along, by name, else a folder or a Hub id."""

from __future__ import annotations

from pathlib import Path

from maskfork.errors import ModelError

ENCODER, DECODER = "all-MiniLM-L6-v2", "books-gpt-3m"


def model_place(model: str) -> str:
    """`all-MiniLM-L6-v2` and `books-gpt-3m` as the folders they come in, unless a folder here has that name.

    Raises ModelError where the one that is named did not come along.
    """
    if model.removeprefix("sentence-transformers/") not in (ENCODER, DECODER) or Path(model).exists():
        return model
    from maskfork.demo.models import decoder_path, encoder_path

    folder = decoder_path() if model == DECODER else encoder_path()
    if folder is not None:
        return str(folder)
    if "/" in model:  # a Hub id too
        return model
    raise ModelError(f"{model} did not come with this installation: pip install 'maskfork[demo]', or give a model's folder")
