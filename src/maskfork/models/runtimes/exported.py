"""A model whose numbers a runtime has: what is known of it without its weights, and no forward pass of its own."""

from __future__ import annotations

from pathlib import Path
from typing import Any, NoReturn

import torch
from torch import nn

from maskfork.core.spec import ModelSpec
from maskfork.errors import ModelError
from maskfork.models.hub import find_folder, load, read_config, sketch
from maskfork.models.model import Model, check_vocabulary
from maskfork.models.runtimes.contract import Runtime
from maskfork.models.runtimes.open import open_runtime
from maskfork.models.tokenizers.read import has_tokenizer, load_tokenizer


class Exported(Model):
    """Spec, config, tokenizer and labels; `runtime` answers."""

    runtime: Runtime

    def __init__(self, spec: ModelSpec, config: dict[str, Any], folder: Path, runtime: Runtime) -> None:
        nn.Module.__init__(self)  # not Model's, which builds the body
        self.spec, self.config, self.folder, self.runtime = spec, config, folder, runtime
        self.generation_config, self.notes = {}, []
        self._tokenizer, self.adapters = None, None

    @property
    def device(self) -> torch.device:
        return torch.device("cpu")

    def forward(self, *args: Any, **options: Any) -> NoReturn:
        """Raises ModelError."""
        raise ModelError(
            f"{self.folder} is exported for {self.runtime.settings.runtime}, which gives answers and nothing else: for training, "
            "explaining or another head give the folder that it was exported from"
        )

    tensors = forward  # there is nothing to save either


def open_model(where: str | Path, head: str | None = None, *, dtype: torch.dtype = torch.float32) -> Model:
    """`load`, or where the folder has a runtime.json the model without weights, and `runtime` set.

    Raises ModelError, TokenizerError as `load` does; UsageError where the runtime's package is not installed.
    """
    folder = find_folder(where)
    runtime = open_runtime(folder)
    if runtime is None:
        return load(folder, head, dtype=dtype)
    known = sketch(read_config(folder), {})
    model = Exported(known.spec if head != "none" else known.spec.replace(head=None), known.config, folder, runtime)
    if has_tokenizer(folder):
        model.tokenizer = load_tokenizer(folder)
        check_vocabulary(model.spec, model.tokenizer, str(folder))
    return model.eval()
