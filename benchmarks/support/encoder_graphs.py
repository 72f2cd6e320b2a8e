"""What is made of a classifier for other engines, once a model: ONNX in dynamic int8, OpenVINO in static int8 by NNCF."""

from __future__ import annotations

import json
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import torch

from benchmarks.support.encoder_batches import padded, tokens_of

MADE = "peers"  # the folder for it, beside the weights


class Logits(torch.nn.Module):
    """What the tracers follow: tensors in, logits out."""

    def __init__(self, model: Any) -> None:
        super().__init__()
        self.model = model

    def forward(self, input_ids: Any, attention_mask: Any, token_type_ids: Any = None) -> Any:
        given = {} if token_type_ids is None else {"token_type_ids": token_type_ids}
        return self.model(input_ids=input_ids, attention_mask=attention_mask, **given).logits


def theirs(folder: Path, **how: Any) -> Any:
    import transformers

    transformers.logging.set_verbosity_error()
    return transformers.AutoModelForSequenceClassification.from_pretrained(folder, **how).eval()


def onnx_int8(folder: Path, to: Path) -> None:
    from onnxruntime.quantization import QuantType, quantize_dynamic

    model, given = theirs(folder, attn_implementation="eager"), example(folder)
    plain = to.with_suffix(".fp32.onnx")
    axes = {name: {0: "b", 1: "s"} for name in given}
    torch.onnx.export(
        Logits(model), (given,), str(plain), input_names=list(given), output_names=["logits"], dynamic_axes=axes, dynamo=False
    )
    quantize_dynamic(str(plain), str(to), weight_type=QuantType.QInt8, per_channel=True)


def openvino_file(folder: Path, to: Path, texts: Sequence[str], int8: bool) -> None:
    """int8 by NNCF, for transformers, calibrated on 200 of the texts."""
    import nncf
    import openvino as engine

    model = engine.convert_model(Logits(theirs(folder, attn_implementation="sdpa")), example_input=example(folder))
    if int8:
        encode, names = tokens_of(folder), [port.get_any_name() for port in model.inputs]

        def given(text: str) -> dict[str, np.ndarray]:
            tokens, mask = padded(encode([text]))
            whole = {"input_ids": tokens, "attention_mask": mask.astype(np.int64), "token_type_ids": np.zeros_like(tokens)}
            return {name: whole[name] for name in names}

        rows = nncf.Dataset(list(texts)[:200], given)
        model = nncf.quantize(model, rows, model_type=nncf.ModelType.TRANSFORMER, subset_size=200)
    engine.save_model(model, str(to), compress_to_fp16=False)


def example(folder: Path) -> dict[str, Any]:
    tokens, mask = padded(tokens_of(folder)(["two texts", "of two different lengths"]))
    given = {"input_ids": torch.from_numpy(tokens), "attention_mask": torch.from_numpy(mask).long()}
    types = json.loads((folder / "config.json").read_text()).get("type_vocab_size", 0)
    return given | ({"token_type_ids": torch.zeros_like(given["input_ids"])} if types else {})


def once(folder: Path, name: str, make: Callable[[Path], None]) -> Path:
    """A file or folder beside the model, made once."""
    to = folder / MADE / name
    if not to.exists():
        to.parent.mkdir(exist_ok=True)
        make(to)
    return to
