"""An encoder as a graph with its batch and its length left open."""

from __future__ import annotations

from typing import Any

import torch
from torch import Tensor, nn

from maskfork.core.batch import Traced
from maskfork.deploy.export.quiet import quiet
from maskfork.errors import ModelError
from maskfork.models.encode import wants_types
from maskfork.models.runtimes.whole import Whole

ROWS = 4096  # the most texts that a graph promises to take at once
LONGEST = 32768  # tokens, where the model has no limit of its own
NAMES = ("input_ids", "attention_mask", "token_type_ids")


class EncoderGraph(nn.Module):
    """`input_ids`, `attention_mask` [B, S] (and `token_type_ids`, where the model has types) to what `Whole` gives."""

    def __init__(self, whole: Whole) -> None:
        super().__init__()
        self.whole = whole

    @property
    def names(self) -> tuple[str, ...]:
        return NAMES if wants_types(self.whole.model) else NAMES[:2]

    def forward(self, input_ids: Tensor, attention_mask: Tensor, token_type_ids: Tensor | None = None) -> Tensor:
        return self.whole(Traced.of(input_ids, attention_mask, token_type_ids))  # type: ignore[no-any-return]


def trace(whole: Whole) -> torch.export.ExportedProgram:
    """Raises ModelError for a model whose pass depends on what it reads, with the reason."""
    graph = EncoderGraph(whole).eval()
    tokens = torch.arange(14).view(2, 7) % whole.model.spec.vocab_size
    given = (tokens, torch.tensor([[1] * 7, [1] * 5 + [0] * 2]), torch.zeros_like(tokens))[: len(graph.names)]
    longest = whole.model.longest or LONGEST
    sizes = {0: torch.export.Dim("batch", min=1, max=ROWS), 1: torch.export.Dim("length", min=1, max=longest)}
    return traced(graph, given, tuple(sizes for _ in given), str(whole.model.folder or "this model"))


def traced(graph: nn.Module, given: tuple[Any, ...], sizes: Any, where: str) -> torch.export.ExportedProgram:
    """`torch.export` of a module on example inputs. Raises ModelError in a sentence."""
    try:
        with torch.no_grad(), quiet():
            return torch.export.export(graph, given, dynamic_shapes=sizes)
    except (RuntimeError, ValueError, torch._dynamo.exc.UserError) as error:
        lines = [line for line in str(error).strip().splitlines() if line.strip()]
        raise ModelError(
            f"{where} has no graph: its pass depends on what it reads ({lines[0][:200] if lines else type(error).__name__}); "
            "run it in torch"
        ) from error
