"""A decoder that something else reads lets its own weights go, and has them again where torch is asked."""

from __future__ import annotations

from pathlib import Path

import pytest
import torch

from maskfork import Model, generate, load
from maskfork.models.runtimes.writer import open_writer
from maskfork.models.runtimes.writing import WritingSettings, write_writing
from maskfork.prompt.generate.engine import Engine
from tests.learn.tiny import make

IDS = torch.tensor([[5, 9, 12, 30]])


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    shape = dict(hidden_size=64, intermediate_size=128, num_attention_heads=4, num_key_value_heads=2)
    folder = make("llama", "causal_lm", **shape).save(tmp_path / "made")
    write_writing(folder, WritingSettings(engine="native", precision="fp32", files={}))
    return folder


def gone(model: Model) -> bool:
    return all(p.is_meta for p in model.parameters())


def test_weights_go_and_come_back(folder: Path, tmp_path: Path) -> None:
    model, plain = open_writer(folder), load(folder)
    assert not gone(model)
    wanted = generate(plain, IDS, max_new_tokens=9).new
    assert generate(model, IDS, max_new_tokens=9).new == wanted
    assert gone(model)
    assert model.device.type == "cpu"
    engine = Engine(model)
    ticket = engine.submit(IDS[0].tolist(), max_new_tokens=9)
    engine.finish()
    assert [said.token for said in ticket.now()] == wanted[0]
    assert generate(model, IDS, max_new_tokens=9, bits=16).new  # made of weights that were read again
    assert gone(model)
    guessed = generate(model, IDS, max_new_tokens=9, draft=2)  # by torch
    assert guessed.new == wanted
    assert not gone(model)
    assert generate(model, IDS, max_new_tokens=9).new == wanted
    assert torch.equal(model(IDS).logits, plain(IDS).logits)


def test_saving_and_moving_bring_them_back(folder: Path, tmp_path: Path) -> None:
    model, plain = open_writer(folder), load(folder)
    generate(model, IDS, max_new_tokens=2)
    assert gone(model)
    saved = load(model.save(tmp_path / "saved"))
    assert all(torch.equal(a, b) for a, b in zip(saved.parameters(), plain.parameters(), strict=True))
    generate(model, IDS, max_new_tokens=2)
    model.double()
    assert not gone(model)


def test_changed_weights_stay(folder: Path) -> None:
    model = open_writer(folder)
    generate(model, IDS, max_new_tokens=2)
    model.here()
    with torch.no_grad():
        for p in model.parameters():
            p.neg_()
    plain = load(folder)
    plain.load_state_dict(model.state_dict())
    assert generate(model, IDS, max_new_tokens=9).new == generate(plain, IDS, max_new_tokens=9).new
    assert not gone(model)
