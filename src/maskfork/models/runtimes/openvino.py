"""openvino: `openvino_model.xml` on the CPU."""

from __future__ import annotations

import threading
from importlib import import_module
from pathlib import Path
from typing import Any

from maskfork.errors import ModelError, UsageError
from maskfork.models.cores import usable_cores
from maskfork.models.runtimes.batched import Batched, inputs_of
from maskfork.models.runtimes.contract import FloatArray, Ids
from maskfork.models.runtimes.settings import RuntimeSettings

MODEL = "openvino_model.xml"


class OpenvinoRuntime(Batched):
    """One compiled model; each stream has a request of its own."""

    def __init__(self, settings: RuntimeSettings, compiled: Any) -> None:
        super().__init__(settings)
        self.compiled = compiled
        self.names = tuple(one.get_any_name() for one in compiled.inputs)
        self._own = threading.local()

    @staticmethod
    def open(folder: Path, settings: RuntimeSettings) -> OpenvinoRuntime:
        return OpenvinoRuntime(settings, compiled_of(folder / MODEL, settings))

    def batch(self, ids: Ids, types: Ids | None) -> list[FloatArray]:
        request = getattr(self._own, "request", None)
        if request is None:
            request = self._own.request = self.compiled.create_infer_request()
        request.infer(inputs_of(self.names, ids, types), share_inputs=True)
        said = request.get_output_tensor().data.copy()  # the request writes over it next time
        return [row if self.settings.gives == "text" else row[: len(one)] for row, one in zip(said, ids, strict=True)]


def compiled_of(file: Path, settings: RuntimeSettings) -> Any:
    """openvino's compiled model. Raises UsageError where the package is missing, ModelError where it cannot read the file."""
    try:
        engine = import_module("openvino")
    except ImportError as error:
        raise UsageError(
            f"{file.parent} runs in openvino, which is not installed ({error}): pip install 'maskfork[export]'"
        ) from error
    how = {
        "PERFORMANCE_HINT": "THROUGHPUT" if settings.streams > 1 else "LATENCY",
        "NUM_STREAMS": str(settings.streams),
        "INFERENCE_NUM_THREADS": str(settings.threads or usable_cores()),
        "INFERENCE_PRECISION_HINT": "bf16" if settings.precision in ("bf16", "int8+bf16") else "f32",
    }
    try:
        return engine.Core().compile_model(str(file), "CPU", how)
    except RuntimeError as error:
        raise ModelError(f"{file} cannot be read by openvino ({str(error).splitlines()[0][:200]}): export it again") from error
