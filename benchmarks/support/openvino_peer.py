"""OpenVINO as a contender: a stateful graph whose cache stays inside, as OpenVINO GenAI runs it; int8 weights by NNCF."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from benchmarks.support.apart import Write
from maskfork.deploy.export.writer import decoder_graph
from maskfork.models.hub import load

THREADS = 2
RUNS_AS = {32: ("32", "f32"), 16: ("32", "bf16"), 8: ("8", "f32")}  # file, precision of the arithmetic


def openvino_folder(folder: Path) -> Path:
    """The benchmark's folder as OpenVINO holds it, in float32 and in int8; written once."""
    out = folder / "openvino"
    if not (out / "8.xml").exists():
        import nncf
        import openvino as ov

        out.mkdir(exist_ok=True)
        made = _stateful(folder)
        ov.save_model(made, out / "32.xml", compress_to_fp16=False)
        ov.save_model(nncf.compress_weights(made, mode=nncf.CompressWeightsMode.INT8_SYM), out / "8.xml", compress_to_fp16=False)
    return out


def _stateful(folder: Path) -> Any:
    """Keys and values become variables, empty at first; `beam_idx` says whose they are from one token to the next."""
    import numpy as np
    import openvino as ov
    import openvino.opset13 as ops
    from openvino._offline_transformations import apply_make_stateful_transformation

    graph = decoder_graph(load(folder))
    model = ov.convert_model(graph.program)
    for port, name in (*zip(model.inputs, graph.inputs, strict=True), *zip(model.outputs, graph.outputs, strict=True)):
        port.get_tensor().set_names({name})
    beams = ops.parameter(ov.PartialShape([-1]), dtype=np.int32, name="beam_idx")
    beams.output(0).get_tensor().add_names({"beam_idx"})
    model.add_parameters([beams])
    held = [name for name in graph.inputs if name.startswith("past")]
    for name in held:
        port = next(one for one in model.inputs if name in one.get_names())
        readers = list(port.get_target_inputs())
        chosen = ops.gather(port.get_node(), beams, ops.constant(0))
        for reader in readers:
            reader.replace_source_output(chosen.output(0))
    model.validate_nodes_and_infer_types()
    apply_make_stateful_transformation(model, {name: name.replace("past_key_values", "present") for name in held})
    ids = next(port for port in model.inputs if "input_ids" in port.get_names())
    rows = ops.gather(ops.shape_of(ids, "i64"), ops.constant([0]), ops.constant(0))
    for node in model.get_ops():
        if node.get_type_name() == "ReadValue":
            heads, size = (node.get_output_partial_shape(0)[axis].get_length() for axis in (1, 3))
            shape = ops.concat([rows, *(ops.constant(np.array([n])) for n in (heads, 0, size))], 0)
            node.set_arguments([ops.broadcast(ops.constant(0.0, dtype=np.float32), shape)])
    model.validate_nodes_and_infer_types()
    return model


def openvino_writer(folder: Path, bits: int) -> Write:
    import numpy as np
    import openvino as ov

    file, precision = RUNS_AS[bits]
    how = {"INFERENCE_NUM_THREADS": THREADS, "INFERENCE_PRECISION_HINT": precision, "NUM_STREAMS": 1}
    request = ov.Core().compile_model(folder / f"{file}.xml", "CPU", how).create_infer_request()

    def write(prompts: list[list[int]], new: int) -> None:
        request.reset_state()
        tokens, rows = np.asarray(prompts), np.arange(len(prompts), dtype=np.int32)
        for length in range(tokens.shape[1], tokens.shape[1] + new):
            mask = np.ones((len(rows), length), dtype=np.int64)
            request.infer({"input_ids": tokens, "attention_mask": mask, "beam_idx": rows}, share_outputs=True)
            tokens = request.get_tensor("logits").data[:, -1].argmax(-1)[:, None]

    return write
