"""The router's loss: it is added while a model with experts is trained, and keeps them in more even use."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
import torch

from maskfork.core.experts import router_loss
from maskfork.learn.pretrain import pretrain
from maskfork.learn.pretrain.balance import Balance
from maskfork.learn.pretrain.run import prepare
from maskfork.models.hub import load
from tests.learn.pretrain.ground import ground

SHAPE = ("hidden_size=32", "num_attention_heads=2", "num_key_value_heads=2", "intermediate_size=32", "num_local_experts=4")


def unevenness(folder: Path, text: str) -> float:
    """2 where two of four experts a token are used evenly, 4 where two are used alone."""
    model = load(folder)
    tokens = torch.tensor([model.tokenizer.encode(text)])
    found = model(tokens).router_logits
    assert found is not None
    return float(router_loss(found, 4, 2).detach())


def test_it_is_added_and_balances(tmp_path: Path) -> None:
    given = ground(tmp_path, "clm", family="mixtral", shape=SHAPE, average=0.0, steps=30, balance=0.0, learning_rate=1e-2)
    fields = {name: getattr(given, name) for name in given.__struct_fields__}
    done = {}
    for weight in (0.0, 1.0):
        pretrain(type(given)(**{**fields, "balance": weight}), tmp_path / f"out-{weight}")
        done[weight] = unevenness(tmp_path / f"out-{weight}", (tmp_path / "text.txt").read_text()[:600])
    assert done[1.0] < done[0.0] - 0.02
    assert done[1.0] < 2.1


def test_the_loss_is_the_objectives_and_the_routers(tmp_path: Path) -> None:
    given = ground(tmp_path, "clm", family="mixtral", shape=SHAPE, balance=0.5)
    ready = prepare(given, tmp_path / "corpus")
    asked, model = next(ready.state.source), ready.built.model
    objective = ready.built.objective
    with torch.no_grad():
        plain = objective.loss(model.eval(), asked.sample)
        assert float(ready.loss(model, asked)) == float(plain.total)  # nothing is added where it is only evaluated
        whole = float(ready.loss(model.train(), asked))
        found = model(asked.sample.batch).router_logits
        wanted = float(plain.total) + 0.5 * float(router_loss(found, 4, 2))
    assert whole == pytest.approx(wanted, rel=1e-5)
    ready.texts.loader.close()


def test_a_model_without_experts_has_no_such_loss(tmp_path: Path) -> None:
    ready = prepare(ground(tmp_path), tmp_path / "corpus")
    asked = next(ready.state.source)
    balance = Balance(ready.built.model, 1.0)
    objective = ready.built.objective
    torch.manual_seed(0)
    whole = float(ready.loss(ready.built.model.train(), asked).detach())
    torch.manual_seed(0)
    assert whole == float(objective.loss(ready.built.model, asked.sample).total.detach())
    assert balance.loss() == 0.0
    assert np.isfinite(whole)
    ready.texts.loader.close()
