"""torch, in float32, bf16 or int8, texts packed without padding."""

from __future__ import annotations

import threading
from pathlib import Path

import torch

from maskfork.models.packing import packed
from maskfork.models.quantised.int8 import quantise_int8
from maskfork.models.runtimes.batched import Batched
from maskfork.models.runtimes.contract import FloatArray, Ids
from maskfork.models.runtimes.settings import RuntimeSettings
from maskfork.models.runtimes.whole import Whole, open_as_said


class TorchRuntime(Batched):
    """A stream is a Python thread with its share of the threads."""

    pads = False

    def __init__(self, settings: RuntimeSettings, whole: Whole) -> None:
        super().__init__(settings)
        self.whole = whole.eval()
        if "int8" in settings.precision:
            quantise_int8(whole.model.body)
        self._asked = threading.local()

    @staticmethod
    def open(folder: Path, settings: RuntimeSettings) -> TorchRuntime:
        return TorchRuntime(settings, open_as_said(folder, settings))

    def batch(self, ids: Ids, types: Ids | None) -> list[FloatArray]:
        if not getattr(self._asked, "before", False):  # torch counts its threads by thread
            torch.set_num_threads(max(1, self.threads // self.settings.streams))
            self._asked.before = True
        batch = packed(ids, types)
        low = self.settings.precision in ("bf16", "int8+bf16")
        with torch.inference_mode(), torch.autocast("cpu", torch.bfloat16, enabled=low):
            said = self.whole(batch).float()
        if self.whole.gives == "text":
            return list(said.numpy())
        return [said[row, start : start + n].numpy() for row, start, n in batch.sequences]
