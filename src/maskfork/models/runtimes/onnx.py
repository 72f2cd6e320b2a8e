"""onnxruntime: `model.onnx` on the CPU."""

from __future__ import annotations

from importlib import import_module
from pathlib import Path
from typing import Any

from maskfork.errors import ModelError, UsageError
from maskfork.models.cores import usable_cores
from maskfork.models.runtimes.batched import Batched, inputs_of
from maskfork.models.runtimes.contract import FloatArray, Ids
from maskfork.models.runtimes.settings import RuntimeSettings

MODEL = "model.onnx"


class OnnxRuntime(Batched):
    """One session; each stream asks it from its own thread."""

    def __init__(self, settings: RuntimeSettings, session: Any) -> None:
        super().__init__(settings)
        self.session = session
        self.names = tuple(one.name for one in session.get_inputs())

    @staticmethod
    def open(folder: Path, settings: RuntimeSettings) -> OnnxRuntime:
        return OnnxRuntime(settings, session_of(folder / MODEL, settings))

    def batch(self, ids: Ids, types: Ids | None) -> list[FloatArray]:
        (said,) = self.session.run(None, inputs_of(self.names, ids, types))
        return [row if self.settings.gives == "text" else row[: len(one)] for row, one in zip(said, ids, strict=True)]


def session_of(file: Path, settings: RuntimeSettings | None = None) -> Any:
    """An onnxruntime session. Raises UsageError where the package is missing, ModelError where it cannot read the file."""
    try:
        engine = import_module("onnxruntime")
    except ImportError as error:
        raise UsageError(
            f"{file.parent} runs in onnxruntime, which is not installed ({error}): pip install 'maskfork[export]'"
        ) from error
    options = engine.SessionOptions()
    options.log_severity_level = 3  # what a user can do nothing about
    if settings is not None:
        options.intra_op_num_threads = max(1, (settings.threads or usable_cores()) // settings.streams)
        options.inter_op_num_threads = 1
        options.add_session_config_entry("session.intra_op.allow_spinning", "0" if settings.streams > 1 else "1")
    try:
        return engine.InferenceSession(str(file), options, providers=["CPUExecutionProvider"])
    except Exception as error:  # onnxruntime has a type of its own for each cause
        raise ModelError(f"{file} cannot be read by onnxruntime ({str(error).splitlines()[0][:200]}): export it again") from error
