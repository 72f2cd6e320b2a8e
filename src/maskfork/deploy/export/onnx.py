"""Graphs as ONNX files, and in int8 by onnxruntime's own quantisation."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from importlib import import_module
from pathlib import Path
from typing import Any

import numpy as np
import torch

from maskfork.deploy.export.quiet import quiet
from maskfork.errors import ModelError, UsageError

Sizes = Mapping[str, Mapping[int, str]]  # input -> which of its sizes is called what
OPSET = 20  # Gelu and LayerNormalization are operations of their own
WEIGHTS = ".data"  # beside a graph of more than two gigabytes
WHOLE = 1_500_000_000  # bytes of weights that one file may hold
EXTRA = "pip install 'maskfork[export]'"


def needed(name: str, why: str) -> Any:
    """A package of the extra `export`. Raises UsageError where it is missing."""
    try:
        return import_module(name)
    except ImportError as error:
        package = name.partition(".")[0]
        raise UsageError(f"{why} needs the package {package}, which is not installed ({error}): {EXTRA}") from error


def write_onnx(
    program: torch.export.ExportedProgram, file: Path, inputs: Sequence[str], outputs: Sequence[str], sizes: Sizes
) -> None:
    """The graph in one file, open sizes under the names that `sizes` gives. Raises ModelError, UsageError."""
    needed("onnxscript", "an export to ONNX")
    onnx = needed("onnx", "an export to ONNX")
    with quiet():
        try:
            made = torch.onnx.export(
                program, dynamo=True, opset_version=OPSET, input_names=list(inputs), output_names=list(outputs), verbose=False
            )  # fmt: skip
        except torch.onnx.OnnxExporterError as error:
            line = str(error).strip().splitlines()[0]
            raise ModelError(f"this model's graph cannot be written as ONNX ({line[:200]}): take openvino, or torch") from error
    assert made is not None
    held = sum(t.numel() * t.element_size() for t in program.state_dict.values() if isinstance(t, torch.Tensor))
    made.save(str(file), external_data=held > WHOLE)
    graph = onnx.load(str(file), load_external_data=False)
    _name_sizes(graph, sizes)
    onnx.save(graph, str(file))


def _name_sizes(graph: Any, sizes: Sizes) -> None:
    """The tracer numbers open sizes as it finds them; people read names."""
    del graph.graph.value_info[:]  # what lies between is inferred; the tracer's notes are of before the graph was simplified
    known: dict[str, str] = {}
    for value in graph.graph.input:
        for place, name in sizes.get(value.name, {}).items():
            size = value.type.tensor_type.shape.dim[place]
            known.setdefault(size.dim_param, name)
            size.dim_param = name
    for value in graph.graph.output:
        for size in value.type.tensor_type.shape.dim:
            if size.dim_param:
                size.dim_param = known.get(size.dim_param, size.dim_param)


def quantise_dynamic(source: Path, target: Path) -> None:
    """Weights in int8, a scale a column; activations quantised as they come."""
    quantisation = needed("onnxruntime.quantization", "int8")
    with quiet():
        quantisation.quantize_dynamic(
            str(source), str(target), op_types_to_quantize=["MatMul", "Gemm"], per_channel=True, reduce_range=False,
            weight_type=quantisation.QuantType.QInt8,
        )  # fmt: skip


def quantise_weights(source: Path, target: Path, block: int = 32) -> None:
    """Weights in int4, a scale for `block` numbers of a row; activations in int8 where the kernel has them, as they come."""
    tool = needed("onnxruntime.quantization.matmul_nbits_quantizer", "int4")
    onnx = needed("onnx", "int4")
    with quiet():
        made = tool.MatMulNBitsQuantizer(onnx.load(str(source)), block_size=block, is_symmetric=True, accuracy_level=4)
        made.process()
        made.model.save_model_to_file(str(target), use_external_data_format=False)


def quantise_static(source: Path, target: Path, batches: Sequence[dict[str, np.ndarray]]) -> None:
    """Weights and activations in int8, the activations' scales from what these batches show.

    Multiplications of activations with each other (attention's) stay in float32, as they are the ones that lose most.
    """
    quantisation = needed("onnxruntime.quantization", "int8")
    preparation = needed("onnxruntime.quantization.shape_inference", "int8")
    onnx = needed("onnx", "int8")

    class Reader(quantisation.CalibrationDataReader):  # type: ignore[name-defined,misc]
        def __init__(self) -> None:
            self.left = iter(batches)

        def get_next(self) -> dict[str, np.ndarray] | None:
            return next(self.left, None)

    ready = source.with_name("ready.onnx")
    with quiet():
        preparation.quant_pre_process(str(source), str(ready), skip_symbolic_shape=True)
        graph = onnx.load(str(ready), load_external_data=False).graph
        fixed = {one.name for one in graph.initializer}
        between = [n.name for n in graph.node if n.op_type == "MatMul" and not fixed & set(n.input)]
        quantisation.quantize_static(
            str(ready), str(target), Reader(), quant_format=quantisation.QuantFormat.QDQ, per_channel=True,
            op_types_to_quantize=["MatMul", "Gemm"], nodes_to_exclude=between,
            activation_type=quantisation.QuantType.QUInt8, weight_type=quantisation.QuantType.QInt8,
            extra_options={
                "CalibMovingAverage": True, "CalibMovingAverageConstant": 0.05,  # not the one largest number of all
                "OpTypesToExcludeOutputQuantization": ["MatMul", "Gemm"],  # what follows is in float32: rounding it gains nothing
            },
        )  # fmt: skip
    for left in source.parent.glob("ready.onnx*"):
        left.unlink()
