"""Our own C++ as a runtime: a folder with it answers as its weights do, whatever its head or its pooling reads."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

from maskfork.errors import UsageError
from maskfork.models.native import encoder_refusal
from maskfork.models.runtimes import native
from maskfork.models.runtimes.native import NativeRuntime
from maskfork.models.runtimes.open import open_runtime
from maskfork.models.runtimes.pytorch import TorchRuntime
from maskfork.models.runtimes.settings import Precision, RuntimeSettings, digests, write_settings
from maskfork.models.runtimes.whole import open_whole
from maskfork.models.sentence import SentenceEncoder
from maskfork.models.sentence.pooling import Pooling
from maskfork.models.sentence.stages import Normalize
from tests.learn.tiny import make

IDS = [[2, 7, 9, 3], [2, 3], [2, *range(5, 25), 3], [2, 8, 8, 8, 3]]


@pytest.fixture(params=["classify", "tag", "span", "mean", "cls", "cls and mean"])
def folder(request: pytest.FixtureRequest, tmp_path: Path) -> Path:
    if request.param in ("classify", "tag", "span"):
        model = make("bert", request.param, labels=("O", "B-X", "I-X") if request.param == "tag" else None)
        return model.save(tmp_path / "model")
    body = make("bert", "none")
    stages = [Pooling(body.spec.hidden_size, request.param.split(" and ")), Normalize()]
    return SentenceEncoder(body, stages).save(tmp_path / "model")


def settings_of(folder: Path, precision: Precision, **changes: int) -> RuntimeSettings:
    whole = open_whole(folder)
    if (reason := encoder_refusal(whole.model)) is not None:
        pytest.skip(reason)
    return RuntimeSettings(runtime="native", precision=precision, gives=whole.gives, width=whole.width, files={}, **changes)


@pytest.mark.parametrize(("precision", "near"), [("fp32", 1e-5), ("bf16", 0.05), ("int8+bf16", 0.05)])
def test_answers_are_those_of_torch(folder: Path, precision: Precision, near: float, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(native, "AT_ONCE", 12)  # several passes
    settings = settings_of(folder, precision, threads=2, batch_tokens=6)
    write_settings(folder, settings)
    wanted = TorchRuntime(settings_of(folder, "fp32"), open_whole(folder)).run(IDS)
    runtime = open_runtime(folder)
    assert isinstance(runtime, NativeRuntime)
    for want, got in zip(wanted, runtime.run(IDS), strict=True):
        assert want.shape == got.shape
        assert np.abs(want - got).max() <= near * max(1.0, np.abs(want).max())
    assert runtime.padding.tokens == sum(map(len, IDS))
    assert runtime.run([]) == []
    runtime.close()


def test_a_model_without_a_native_pass_is_refused(tmp_path: Path) -> None:
    folder = make("gpt2", "classify").save(tmp_path / "decoder")
    write_settings(
        folder,
        RuntimeSettings(
            runtime="native", precision="int8", gives="text", width=open_whole(folder).width,
            files=digests(folder, ["model.safetensors"]),
        ),
    )  # fmt: skip
    with pytest.raises(UsageError, match="no encoder"):
        open_runtime(folder)
