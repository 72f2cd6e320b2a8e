"""Adapters: what is trained beside a base that stays as it is; peft's folders both ways."""

from maskfork.models.adapters.adapters import Adapters
from maskfork.models.adapters.describe import IA3, Description, LoRA, Prefix, Prompt, QLoRA
from maskfork.models.adapters.folder import OWN, AdapterFolder, is_adapter_folder, read_adapter
from maskfork.models.adapters.save import save_adapter

__all__ = [
    "IA3",
    "OWN",
    "AdapterFolder",
    "Adapters",
    "Description",
    "LoRA",
    "Prefix",
    "Prompt",
    "QLoRA",
    "is_adapter_folder",
    "read_adapter",
    "save_adapter",
]
