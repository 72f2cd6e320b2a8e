"""A folder's runtime by its runtime.json."""

from __future__ import annotations

from pathlib import Path

from maskfork.models.runtimes.contract import Runtime
from maskfork.models.runtimes.settings import read_settings


def open_runtime(folder: Path) -> Runtime | None:
    """None where the folder has no runtime.json.

    Raises ModelError for one that cannot be used, UsageError where the package that runs it is not installed.
    """
    settings = read_settings(folder)
    if settings is None:
        return None
    match settings.runtime:
        case "torch":
            from maskfork.models.runtimes.pytorch import TorchRuntime

            return TorchRuntime.open(folder, settings)
        case "onnxruntime":
            from maskfork.models.runtimes.onnx import OnnxRuntime

            return OnnxRuntime.open(folder, settings)
        case "openvino":
            from maskfork.models.runtimes.openvino import OpenvinoRuntime

            return OpenvinoRuntime.open(folder, settings)
        case "native":
            from maskfork.models.runtimes.native import NativeRuntime

            return NativeRuntime.open(folder, settings)
