"""Which folder a model's name means: one of the models that come along, by name, else a folder or a Hub id."""

from __future__ import annotations

from pathlib import Path

from maskfork.errors import ModelError

ENCODER, DECODER, LABELLER = "all-MiniLM-L6-v2", "books-gpt-3m", "labels-gpt-3m"


def model_place(model: str) -> str:
    """`all-MiniLM-L6-v2`, `books-gpt-3m` and `labels-gpt-3m` as the folders they come in, unless a folder here has that name.

    Raises ModelError where the one that is named did not come along.
    """
    name = model.removeprefix("sentence-transformers/")
    if name not in (ENCODER, DECODER, LABELLER) or Path(model).exists():
        return model
    from maskfork.demo.models import decoder_path, encoder_path, labeller_path

    folder = {ENCODER: encoder_path, DECODER: decoder_path, LABELLER: labeller_path}[name]()
    if folder is not None:
        return str(folder)
    if "/" in model:  # a Hub id too
        return model
    raise ModelError(f"{model} did not come with this installation: pip install 'maskfork[demo]', or give a model's folder")


def model_folder(model: str | Path) -> Path:
    """The folder that a model's name means: that of one that comes along, a folder here, or a Hub id's in the Hub's cache.

    Raises ModelError where there is none, and where it cannot be had.
    """
    place = model_place(str(model))
    folder = Path(place).expanduser()
    if folder.is_dir():
        return folder
    from maskfork.models.hub import find_folder

    return find_folder(place)
