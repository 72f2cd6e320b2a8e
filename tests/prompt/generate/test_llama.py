"""llama.cpp reads the file that is exported for it, and what is written is what torch writes, line by line and along beams."""

from __future__ import annotations

import random
from typing import Any

import pytest
import torch

from maskfork import Model, generate
from maskfork.deploy.export.run import export
from maskfork.models.runtimes.settings import digests
from maskfork.models.runtimes.writer import open_writer
from maskfork.models.runtimes.writing import GGUF, WritingSettings, write_writing
from maskfork.prompt.generate.engine import Engine
from maskfork.prompt.generate.prompts import left_padded
from tests.learn import tiny
from tests.prompt.generate.engine.test_engine import alone, come_and_go, heard

pytest.importorskip("llama_cpp", reason="llama-cpp-python is not installed (pip install 'maskfork[llama]')")
pytest.importorskip("gguf", reason="gguf is not installed (pip install 'maskfork[export]')")

SHAPES: dict[str, dict[str, Any]] = {
    "llama": dict(hidden_size=64, intermediate_size=128, num_attention_heads=4, num_key_value_heads=2),
    "gpt2": dict(n_embd=64, n_head=4),
}


@pytest.fixture(scope="module", params=SHAPES)
def both(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> tuple[Model, Model]:
    with pytest.MonkeyPatch.context() as patch:  # a byte-level tokenizer, whose rule llama.cpp has a name for
        patch.setitem(tiny.SPECIAL, "llama", tiny.SPECIAL["gpt2"])
        patch.setattr(tiny, "_trained", lambda name, real=tiny._trained: real("gpt2"))
        plain = tiny.make(request.param, "causal_lm", **SHAPES[request.param]).eval()
    with torch.no_grad():  # far from a tie between two tokens
        for p in plain.parameters():
            p.mul_(4.0) if p.dim() > 1 else None
    folder = plain.save(tmp_path_factory.mktemp(request.param))
    export(folder, folder / GGUF, to="gguf", precision="fp32")
    write_writing(folder, WritingSettings(engine="llama.cpp", precision="fp32", files=digests(folder, [GGUF]), threads=1))
    return plain, open_writer(folder)


@pytest.mark.parametrize(
    "way",
    [{}, dict(num_beams=3), dict(do_sample=True, seed=3, num_return_sequences=2), dict(eos_token_id=[5, 9, 30, 31, 32, 60, 61])],
    ids=["greedy", "beams", "drawn", "ends"],
)
def test_llama_cpp_writes_what_torch_writes(both: tuple[Model, Model], way: dict[str, Any]) -> None:
    generator = torch.Generator().manual_seed(1)
    ids, mask = left_padded([torch.randint(8, 90, (n,), generator=generator).tolist() for n in (3, 20, 1, 7)], 0)
    wanted, found = (generate(model, ids, mask, max_new_tokens=10, **way) for model in both)
    assert found.new == wanted.new
    assert found.reasons == wanted.reasons


@pytest.mark.parametrize("shape", [{}, dict(rows=3, pages=5, page_size=8, piece=5)], ids=str)
def test_texts_that_come_and_go(both: tuple[Model, Model], shape: dict[str, int]) -> None:
    model, rng = both[1], random.Random(3)
    opening = [rng.randrange(8, 90) for _ in range(9)]
    jobs: list[Any] = [
        ([*opening[: rng.choice([0, 9])], *(rng.randrange(8, 90) for _ in range(rng.randint(1, 9)))], dict(max_new_tokens=9))
        for _ in range(12)
    ]
    engine = Engine(model, **shape)
    tickets = come_and_go(engine, jobs, seed=1)
    assert [heard(ticket) for ticket in tickets] == [alone(model, ids, **asked) for ids, asked in jobs]
    assert engine.pages.shared > 0
    assert all(p.is_meta for p in model.parameters())  # torch's weights are nobody's any more
