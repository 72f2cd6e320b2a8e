"""Where a model is: the folder of that name, else what the Hub has under it."""

from __future__ import annotations

import difflib
import re
from pathlib import Path

from maskfork.errors import ModelError

_REPOSITORY = re.compile(r"[A-Za-z0-9][\w.-]*(/[A-Za-z0-9][\w.-]*)?")
_FILES = ("*.json", "*.jinja", "*.safetensors", "*.txt", "*.model", "[0-9]*_*/pytorch_model.bin")


def find_folder(where: str | Path) -> Path:
    """A local folder as it is, or a Hub id's snapshot. Raises ModelError where there is neither."""
    path = Path(where).expanduser()
    if path.is_dir():
        return path
    text = str(where)
    if path.suffix in (".gguf", ".onnx") and path.exists():
        raise ModelError(
            f"{path} is an export for another runtime: give the folder in the Hugging Face layout that it was made from"
        )
    if path.exists():
        raise ModelError(f"{path} is a file: give the folder that holds config.json and the weights")
    if not _REPOSITORY.fullmatch(text) or text.startswith((".", "~")):
        raise ModelError(
            f"there is no folder {path}{_nearest(path)}: "
            "give a folder with config.json, or a Hub id like google-bert/bert-base-uncased"
        )
    from huggingface_hub import snapshot_download
    from huggingface_hub.errors import HfHubHTTPError, HFValidationError, LocalEntryNotFoundError, OfflineModeIsEnabled

    try:
        folder = Path(snapshot_download(text, allow_patterns=list(_FILES)))
        if not any(folder.glob("*.safetensors")):  # published before there were any
            folder = Path(snapshot_download(text, allow_patterns=[*_FILES, "pytorch_model*.bin"]))
        return folder
    except (HfHubHTTPError, HFValidationError, LocalEntryNotFoundError, OfflineModeIsEnabled, OSError) as error:
        raise ModelError(f"'{text}' is no folder here{_nearest(path)} and cannot be had from the Hub{_why(error)}") from error


def _why(error: Exception) -> str:
    """The rest of the sentence: what the Hub said, and the cure."""
    from huggingface_hub.errors import GatedRepoError, LocalEntryNotFoundError, OfflineModeIsEnabled, RepositoryNotFoundError

    if isinstance(error, GatedRepoError):
        return ", which gives it to those alone who agree to its terms: do so on its page there, and run `hf auth login`"
    if isinstance(error, RepositoryNotFoundError):
        return (
            ", which has no model of that name for you: check the name (OWNER/NAME on the Hub, a path here), or, where the model "
            "is private, run `hf auth login`"
        )
    if isinstance(error, LocalEntryNotFoundError | OfflineModeIsEnabled):
        return (
            ", which is not reached from here, nor is it in the Hub's cache: check the name, run once with a connection (and "
            "without HF_HUB_OFFLINE), or download it elsewhere and give its folder"
        )
    why = str(error).strip().split("\n")[0][:160]
    return f" ({type(error).__name__}: {why}): check the name, or download it elsewhere and give its folder"


def _nearest(path: Path) -> str:
    parent = path.parent if path.parent.is_dir() else None
    near = difflib.get_close_matches(path.name, [p.name for p in parent.iterdir() if p.is_dir()], n=1) if parent else []
    return f" (there is {path.parent / near[0]})" if near else ""
