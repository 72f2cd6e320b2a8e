"""What of a folder belongs to the model in it: its description, tokenizer, modules and card, and nothing of how it was made."""

from __future__ import annotations

import json
import shutil
from pathlib import Path

from maskfork.errors import ModelError
from maskfork.models.formats.tensors import INDEX
from maskfork.models.runtimes import writing

#: config, tokenizer, labels and thresholds; chat templates; vocabularies; card and licence; a model's own code
_ENDINGS = (".json", ".jinja", ".txt", ".model", ".vocab", ".codes", ".spm", ".tiktoken", ".md", ".py", "")
#: what trainers leave beside a model
_STATES = ("trainer_state.json", "all_results.json", "train_results.json", "eval_results.json", "test_results.json")
#: what lists the modules of a sentence-transformers folder
MODULES = "modules.json"


def module_folders(folder: Path) -> list[Path]:
    """The folders that sentence-transformers' modules.json names; none where there is no such file. Raises ModelError."""
    file = folder / MODULES
    try:
        listed = json.loads(file.read_text("utf-8")) if file.is_file() else []
    except ValueError as error:  # neither UTF-8 nor JSON
        raise ModelError(f"{file} is not valid JSON ({error}): download it again") from error
    if not isinstance(listed, list):
        raise ModelError(f"{file} is not a JSON list: download it again")
    named = {str(entry.get("path", "")) for entry in listed if isinstance(entry, dict)}
    return sorted(place for place in folder.iterdir() if place.is_dir() and place.name in named)


def copy_rest(folder: Path, new: Path, weights: set[Path]) -> tuple[list[str], str | None]:
    """Every other file that belongs to the model of `folder`: of the folder itself and of its modules' folders.

    What was copied, and a sentence on what was not.
    """
    copied: list[str] = []
    left: list[str] = []
    homes = {folder, *module_folders(folder)}
    for file in sorted(folder.rglob("*")):
        inside = file.relative_to(folder)
        if file in weights or not file.is_file() or any(part.startswith(".") for part in inside.parts):
            continue
        if file.parent not in homes or file.suffix not in _ENDINGS or file.name in _STATES or _is_weights(file.name):
            left.append(str(inside))
            continue
        (new / inside).parent.mkdir(parents=True, exist_ok=True)
        shutil.copyfile(file, new / inside)
        copied.append(str(inside))
    named = ", ".join(left[:3]) + (f" and {len(left) - 3} more" if len(left) > 3 else "")
    return copied, f"what does not belong to the model stays behind: {named}" if left else None


def _is_weights(name: str) -> bool:
    """Whether a file holds weights, or says where they are, or how they are run: what is written anew must not stand beside what
    was.
    """
    return name == writing.FILE or name.endswith((".safetensors", ".bin", ".safetensors" + INDEX, ".bin" + INDEX))
