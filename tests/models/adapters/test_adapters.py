"""Adapters on one base: nothing changes until they are trained, rows choose, virtual tokens are seen by all and leak nothing."""

from __future__ import annotations

import shutil
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest
import torch
from torch import Tensor

from maskfork import Batch, Causal, Prefix, Window, load
from maskfork.core.cache import Cache
from maskfork.core.mask import Mask
from maskfork.decide.compare.winner import kind_of
from maskfork.errors import ModelError, UsageError
from maskfork.models import families
from maskfork.models.adapters import IA3, Adapters, LoRA, Prompt, QLoRA
from maskfork.models.adapters import Prefix as PrefixTokens
from maskfork.models.hub import build
from maskfork.models.model import Model
from maskfork.models.quantised import bytes_of
from tests.learn.tiny import make

KINDS = {
    "lora": LoRA(rank=3), "dora": LoRA(rank=3, dora=True), "rslora": LoRA(rank=3, rslora=True, targets=("out", "down")),
    "ia3": IA3(), "prefix": PrefixTokens(4), "prompt": Prompt(4),
}  # fmt: skip
IDS = torch.randint(3, 90, (3, 8), generator=torch.Generator().manual_seed(1))
KEPT = torch.ones_like(IDS)
KEPT[1, 6:] = 0
KEPT[2, :3] = 0  # padded on the left


def model_of(family: str, head: str | None = "classify") -> Model:
    tiny = families.family_of({"model_type": family}).tiny[0]
    return build({**tiny, "model_type": family, "pad_token_id": 0}, head, seed=1)


def shaken(model: Model, seed: int = 0) -> None:
    """The adapter in use does something."""
    assert model.adapters is not None
    assert model.adapters.active is not None
    generator = torch.Generator().manual_seed(seed)
    for p in model.adapters.own_parameters(model.adapters.active).values():
        p.data += torch.randn(p.shape, generator=generator) * 0.05


def said(model: Model, ids: Tensor | Batch = IDS, kept: Tensor | None = KEPT) -> Tensor:
    with torch.no_grad():
        logits = model(ids, None if isinstance(ids, Batch) else kept).logits
    assert logits is not None
    return logits


@pytest.mark.parametrize("kind", ["lora", "dora", "rslora", "ia3"])
@pytest.mark.parametrize("family", ["bert", "llama", "deberta-v2", "albert", "deepseek_v3", "longformer"])
def test_a_fresh_adapter_changes_nothing_and_merges(family: str, kind: str) -> None:
    model = model_of(family, None)
    states = model(IDS, KEPT).last_hidden_state
    model.adapters = Adapters(model)
    model.adapters.add("a", KINDS[kind] if family != "deepseek_v3" or kind != "ia3" else IA3(targets=("kv",), entering=("out",)))
    assert (model(IDS, KEPT).last_hidden_state - states).abs().max() < 1e-5
    shaken(model)
    changed = model(IDS, KEPT).last_hidden_state
    assert (changed - states)[KEPT.bool()].abs().max() > 1e-4
    model.adapters.merge()
    assert (model(IDS, KEPT).last_hidden_state - changed)[KEPT.bool()].abs().max() < 1e-5
    model.adapters.unmerge()
    model.adapters.use(None)
    assert torch.equal(model(IDS, KEPT).last_hidden_state, states)


@pytest.mark.parametrize("family", ["bert", "gpt2", "mistral", "modernbert", "gemma2"])
@pytest.mark.parametrize("kind", ["prefix", "prompt"])
def test_virtual_tokens_are_the_same_padded_packed_and_alone(family: str, kind: str) -> None:
    model = model_of(family, None)
    model.adapters = Adapters(model)
    model.adapters.add("a", KINDS[kind])
    shaken(model)
    padded = model(IDS, KEPT).last_hidden_state
    rows = [IDS[i][KEPT[i].bool()] for i in range(3)]
    packed = model(Batch.packed([r.tolist() for r in rows])).last_hidden_state[0]
    for i, (row, there) in enumerate(zip(rows, packed.split([len(r) for r in rows]), strict=True)):
        alone = model(row[None]).last_hidden_state[0]
        assert (padded[i][KEPT[i].bool()] - alone).abs().max() < 1e-5
        assert (there - alone).abs().max() < 1e-5


@contextmanager
def entered(model: Model) -> Iterator[list[Tensor]]:
    """The vectors that enter the first layer."""
    seen: list[Tensor] = []
    assert model.body.decoder is not None
    hook = model.body.decoder.embed.register_forward_hook(lambda module, given, out: seen.append(out.requires_grad_()))
    yield seen
    hook.remove()


def test_a_prefix_is_read_under_every_rule_and_nothing_else_leaks() -> None:
    """The gradient of a token's state says what it read: all of the prefix, and of the text what the rule allows."""
    rules: list[Mask] = [Causal(), Window(1, 0), Causal() & Window(2, 0), Prefix(2), Window(1, 1)]
    for rule in rules:
        model = model_of("gpt2", None)
        model.adapters = Adapters(model)
        model.adapters.add("a", PrefixTokens(3))
        shaken(model)
        prefix = model.adapters.virtual.prefixes["a"]
        with entered(model) as inside:
            states = model(IDS[:1], mask=rule).last_hidden_state
        for q in range(8):
            first, text = torch.autograd.grad(states[0, q, 0], [prefix, inside[0]], retain_graph=True)
            assert (first[0].abs().sum((0, 2, 3)) > 0).all(), (rule, q)
            read = text[0, 3:].abs().sum(-1) > 0  # through all layers: what any chain of the rule reaches
            reach = torch.eye(8, dtype=torch.bool) | rule.matrix(8)[0, 0]
            for _ in range(3):
                reach = (reach.float() @ reach.float()) > 0
            assert not (read & ~reach[q]).any(), (rule, q)
            assert read[q]
            assert (text[0, :3] == 0).all()  # the virtual tokens' own vectors are nothing


@pytest.mark.parametrize("kind", list(KINDS))
def test_decoding_with_a_cache_equals_the_whole_pass(kind: str) -> None:
    model = model_of("llama", "causal_lm")
    model.adapters = Adapters(model)
    model.adapters.add("a", KINDS[kind])
    shaken(model)
    whole = said(model, IDS, None)
    cache, steps = Cache(), []
    with torch.no_grad():
        for part in (IDS[:, :5], IDS[:, 5:6], IDS[:, 6:]):
            steps.append(model(part, cache=cache).logits)
    assert (torch.cat(steps, 1) - whole).abs().max() < 1e-5


@pytest.mark.parametrize("family", ["bert", "gpt2"])
def test_rows_choose_their_adapters(family: str) -> None:
    model = model_of(family)
    model.adapters = Adapters(model)
    for seed, (name, kind) in enumerate(KINDS.items()):
        model.adapters.add(name, kind, seed=seed)
        shaken(model, seed)
    names = [None, *KINDS]
    ids = torch.randint(3, 90, (len(names), 6), generator=torch.Generator().manual_seed(5))
    alone = []
    for i, name in enumerate(names):
        model.adapters.use(name)
        alone.append(said(model, ids[i : i + 1], None))
    with model.adapters.rows(names):
        together = said(model, ids, None)
    assert (together - torch.cat(alone)).abs().max() < 1e-5
    assert (torch.cat(alone) - alone[0]).abs().amax(1)[1:].min() > 1e-4


def test_rows_that_cannot_choose_are_told() -> None:
    model = model_of("bert")
    model.adapters = Adapters(model)
    model.adapters.add("a", LoRA())
    with pytest.raises(UsageError, match="2 rows have an adapter each and 3 came"), model.adapters.rows(["a", None]):
        said(model)
    with pytest.raises(UsageError, match="padded"), model.adapters.rows(["a"]):
        said(model, Batch.packed([[5, 6, 7]]))
    with pytest.raises(UsageError, match="no adapter 'b'"), model.adapters.rows(["b"]):
        pass
    places = model_of("deberta-v2")
    places.adapters = Adapters(places)
    places.adapters.add("a", LoRA())
    with pytest.raises(UsageError, match="run each alone"), places.adapters.rows(["a"]):
        pass


def test_names_of_both_sides_mean_the_same_rows() -> None:
    model = model_of("llama")
    places = Adapters(model).places()
    assert {p.key for p in places.find(["q_proj", "v_proj"])} == {p.key for p in places.find(["query", "value"])}
    assert {p.key for p in places.find(["gate_proj"])} == {p.key for p in places.find(["gate"])}
    with pytest.raises(UsageError, match="did you mean 'query'"):
        places.find(["querry"])
    fused = Adapters(model_of("gpt2")).places()
    assert [p.stop - p.start for p in fused.find(["value"])] == [32, 32]
    with pytest.raises(UsageError, match="named twice"):
        fused.find(["c_attn", "query"])


def test_four_bits_are_what_was_computed_with() -> None:
    model = model_of("llama", "classify")
    whole = bytes_of(model.body)
    model.adapters = Adapters(model)
    model.adapters.add("a", QLoRA(rank=2))
    shaken(model)
    assert bytes_of(model.body) < 0.6 * whole / 2 + whole / 2  # tiny matrices: the norms and adapters weigh
    logits = said(model)
    model.adapters.merge()
    assert (said(model) - logits).abs().max() < 0.05  # bf16 on one side
    model.adapters.unmerge()
    assert torch.equal(said(model), logits)


def test_what_is_wrong_is_said_in_a_sentence(tmp_path: Path) -> None:
    model = model_of("bert")
    model.folder = tmp_path
    model.adapters = Adapters(model)
    with pytest.raises(UsageError, match="name one"):
        model.save(tmp_path / "x")
    model.adapters.add("a", PrefixTokens(4))
    with pytest.raises(UsageError, match="virtual tokens"):
        model.adapters.merge()
    with pytest.raises(UsageError, match="already"):
        model.adapters.add("a", LoRA())
    with pytest.raises(UsageError, match="latent attention"):
        Adapters(model_of("deepseek_v3", None)).add("a", PrefixTokens(4))
    folder = model.save(tmp_path / "adapter")
    (folder / "adapter_config.json").write_text('{"peft_type": "ADALORA", "base_model_name_or_path": "x"}')
    with pytest.raises(ModelError, match="ADALORA"):
        load(folder)


def test_an_adapter_without_its_base_and_one_as_a_classifier(tmp_path: Path) -> None:
    """The base's absence is told as such; a folder as PEFT leaves it, without config.json, is opened as what it is."""
    model = make("bert", "classify", labels=("bad", "good"))
    base = model.save(tmp_path / "base")
    model.folder, model.adapters = base, Adapters(model)
    model.adapters.add("a", LoRA())
    folder = model.save(tmp_path / "adapter")
    (folder / "config.json").unlink()
    assert kind_of(folder) == "fine-tune"
    assert load(folder).spec.head == model.spec.head
    shutil.rmtree(base)
    with pytest.raises(ModelError, match=r"adapter is an adapter, and its base is not to be had: there is no folder"):
        load(folder)
