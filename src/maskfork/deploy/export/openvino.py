"""Graphs as OpenVINO's own model, by its own converter; int8 by NNCF with SmoothQuant."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
import torch

from maskfork.deploy.export.onnx import needed
from maskfork.deploy.export.quiet import quiet
from maskfork.errors import ModelError
from maskfork.models.runtimes.settings import Precision


def write_openvino(
    program: torch.export.ExportedProgram, file: Path, inputs: Sequence[str], outputs: Sequence[str], precision: Precision,
    batches: Sequence[dict[str, np.ndarray]],
) -> None:  # fmt: skip
    """`file`.xml and its .bin. int8: weights and activations, their scales from what `batches` show. Raises ModelError."""
    engine = needed("openvino", "an export to openvino")
    with quiet():
        try:
            model = engine.convert_model(program)
        except Exception as error:  # its frontends have types of their own
            line = str(error).strip().splitlines()[0]
            raise ModelError(f"this model's graph cannot be read by openvino ({line[:200]}): take onnx, or torch") from error
        for port, name in (*zip(model.inputs, inputs, strict=True), *zip(model.outputs, outputs, strict=True)):
            port.get_tensor().set_names({name})
        if "int8" in precision:
            model = quantised(model, batches)
        engine.save_model(model, str(file), compress_to_fp16=False)


def quantised(model: Any, batches: Sequence[dict[str, np.ndarray]]) -> Any:
    """Post-training quantisation of a Transformer: NNCF leaves its attention in float and smooths activations (SmoothQuant)."""
    tool = needed("nncf", "int8 for openvino")
    return tool.quantize(
        model, tool.Dataset(list(batches)), model_type=tool.ModelType.TRANSFORMER, subset_size=len(batches),
        preset=tool.QuantizationPreset.MIXED,
    )  # fmt: skip
