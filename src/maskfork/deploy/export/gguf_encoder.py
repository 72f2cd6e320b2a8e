"""Sentence encoders of the BERT kind as GGUF: llama.cpp reads them as embedding models, tokenizer and pooling inside the file.

What the file cannot hold is refused (a head, a Dense layer, another pooling, a tokenizer that tells upper case) or said
(prompts, normalisation). As with decoders the file is read back, and the encoder with its numbers is compared with the original.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any, cast

import numpy as np
import torch
from torch import Tensor

from maskfork.deploy.export.agreement import Agreement, agreement
from maskfork.deploy.export.encoder import Encoder, asked_of
from maskfork.deploy.export.gguf import Bits, file_type, filled, write_weights
from maskfork.deploy.export.gguf_words import add_wordpiece
from maskfork.deploy.export.onnx import needed
from maskfork.deploy.export.rows import Given
from maskfork.errors import UsageError
from maskfork.models.families import family_of
from maskfork.models.folder import table_of
from maskfork.models.formats.place import in_place
from maskfork.models.hub import their_tensors
from maskfork.models.model import Model
from maskfork.models.runtimes.pytorch import TorchRuntime
from maskfork.models.runtimes.settings import RuntimeSettings
from maskfork.models.runtimes.whole import Whole
from maskfork.models.sentence.pipeline import Pipeline
from maskfork.models.sentence.pooling import Pooling
from maskfork.models.sentence.stages import Normalize, Stage

Step = Callable[[float, str], None]
POOLED = {"mean": "MEAN", "cls": "CLS"}
UNUSED = ("pooler.",)  # weights that an embedding does not read


def export_gguf_encoder(
    encoder: Encoder, target: Path, precision: Bits, rows: Given | None, least: float | None, step: Step
) -> Agreement:
    """Write the file, whole or not at all. Raises UsageError for what it cannot hold, ModelError where it is another model."""
    tool = needed("gguf", "an export to gguf")
    model, folder = encoder.whole.model, encoder.folder
    pooling = _pooling(encoder)
    step(0.1, "reading rows")
    asked, wanted = asked_of(encoder, rows)
    with in_place(target) as new:
        step(0.2, "writing")
        out = tool.GGUFWriter(str(new), "bert")
        _describe(out, tool, model, folder, pooling)
        out.add_file_type(getattr(tool.LlamaFileType, file_type(precision)))
        add_wordpiece(out, tool, model)
        write_weights(out, tool, ((name, weight) for name, _, weight in _named(tool, model)), precision)
        step(0.3, "checking")
        again = Whole(_read_back(tool, new, model), cast("list[Stage]", list(encoder.whole.stages))).eval()
        plain = RuntimeSettings(runtime="torch", precision="fp32", gives=again.gives, width=again.width, files={})
        found = agreement(encoder.kind, wanted, TorchRuntime(plain, again).run(asked.ids, asked.types or None))
        found.check(precision, least, f"the export of {folder} to gguf in {precision}")
        step(0.4, "checked")
    return found


def _pooling(encoder: Encoder) -> str:
    """llama.cpp's name of how tokens become a vector; what is to be said goes to the encoder's notes. Raises UsageError."""
    folder, spec = encoder.folder, encoder.whole.model.spec
    if encoder.task.name != "embed":
        raise UsageError(
            f"{folder} is of the task {encoder.task.name}, and gguf holds an encoder's vectors but no head that answers: take "
            "--to onnx or openvino"
        )
    if spec.family != "bert" or spec.fork != "encoder":
        raise UsageError(f"{folder} is a {spec.family}, and of encoders bert goes to gguf: take --to onnx or openvino")
    stages = [stage for stage in encoder.whole.stages if not isinstance(stage, Normalize)]
    modes = tuple(stages[0].modes) if len(stages) == 1 and isinstance(stages[0], Pooling) else ()
    if len(modes) != 1 or modes[0] not in POOLED:
        raise UsageError(f"{folder} pools or goes on in a way that gguf has no place for: take --to onnx or openvino")
    if len(stages) < len(encoder.whole.stages):
        encoder.notes.append("vectors are normalised by who asks, as llama.cpp's tools do: the file has no place for it")
    pipeline = getattr(encoder.trained, "encoder", None)
    if isinstance(pipeline, Pipeline) and any(pipeline.prompts.values()):
        encoder.notes.append("prompts are not in the file: write them before your texts")
    return POOLED[modes[0]]


def _describe(out: Any, tool: Any, model: Model, folder: Path, pooling: str) -> None:
    stack = model.spec.main
    out.add_name(folder.name)
    out.add_context_length(model.spec.max_length or 512)
    out.add_embedding_length(stack.hidden_size)
    out.add_block_count(stack.depth)
    out.add_feed_forward_length(stack.dense.size)
    out.add_head_count(stack.attention.num_heads)
    out.add_layer_norm_eps(stack.norm.eps)
    out.add_causal_attention(False)
    out.add_pooling_type(getattr(tool.PoolingType, pooling))
    out.add_token_type_count(stack.embed.types)


def _named(tool: Any, model: Model) -> Iterator[tuple[str, str, Tensor]]:
    """llama.cpp's name, the checkpoint's, and the weight. Raises UsageError for a tensor that it has no name for."""
    names = tool.get_tensor_name_map(tool.MODEL_ARCH.BERT, model.spec.main.depth)
    for theirs, weight in their_tensors(model).items():
        bare = theirs.removeprefix("bert.")
        if bare.startswith(UNUSED):
            continue
        ours = names.get_name(bare, try_suffixes=(".weight", ".bias"))
        if ours is None:
            raise UsageError(f"llama.cpp has no place for {theirs}: take --to onnx or openvino")
        yield ours, theirs, weight


def _read_back(tool: Any, file: Path, model: Model) -> Model:
    """The model with the file's numbers in place of its own."""
    held = {one.name: tool.quants.dequantize(one.data, one.tensor_type) for one in tool.GGUFReader(str(file)).tensors}
    found = dict(their_tensors(model))
    for ours, theirs, like in _named(tool, model):
        found[theirs] = torch.from_numpy(np.array(held[ours], np.float32)).reshape(like.shape)
    tensors, _ = table_of(family_of(model.config), model.spec).read(found)
    return filled(Model(model.spec, model.config).eval(), model, tensors)
