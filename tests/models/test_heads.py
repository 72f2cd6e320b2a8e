"""Heads as published: BERT's against `transformers` with their losses, and the parts of other families' heads alone."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest
import torch
import transformers
from safetensors.torch import load_file
from torch import Tensor
from torch.nn import functional as F
from transformers.models.big_bird.modeling_big_bird import BigBirdForQuestionAnsweringHead
from transformers.models.electra.modeling_electra import ElectraDiscriminatorPredictions
from transformers.models.modernbert.modeling_modernbert import ModernBertPredictionHead

from maskfork import load
from maskfork.core.batch import Batch
from maskfork.core.spec import FeedForwardSpec, HeadSpec, NormSpec
from maskfork.errors import ModelError, UsageError
from maskfork.models.families import all_families
from maskfork.models.families.shared.heads import decoder_head, encoder_head
from maskfork.models.heads import Read, build_head, question
from maskfork.models.hub import build, their_tensors
from maskfork.models.model import Model, Output, check_head
from tests.models.theirs import batch_of, pad

NEAR = dict(atol=1e-4, rtol=1e-4)
BERT = all_families()["bert"]
TINY = {**BERT.tiny[0], "model_type": "bert"}
TEXTS = [[5, 6, 7, 8], [9, 10], [11, 12, 13, 14, 15, 16], [17, 18, 19]]
LENGTHS = [len(ids) for ids in TEXTS]
LAYOUTS = ("right", "left", "packed")
KINDS = ("masked_lm", "pretrain", "classify", "choice", "pair", "tag", "span")


def reference(kind: str, folder: Path, **config: Any) -> Any:
    torch.manual_seed(len(kind))
    made = transformers.AutoConfig.for_model("bert", **{k: v for k, v in TINY.items() if k != "model_type"}, **config)
    model = getattr(transformers, BERT.architectures[kind])(made)
    with torch.no_grad():
        for p in model.parameters():
            p.add_(0.1 * torch.randn_like(p))
    model.eval().save_pretrained(folder)
    return model


def ask(model: Any, kind: str) -> tuple[dict[str, Tensor], Tensor]:
    """Their values and their loss, for right-padded texts."""
    ids, mask = pad(TEXTS, "right", 3)
    where = mask.bool()
    per_token = torch.arange(ids.numel()).view(ids.shape) % 3
    per_token[~where] = -100
    starts, ends = torch.tensor([1, 0, 5, 2]), torch.tensor([2, 1, 5, 0])
    labels: dict[str, dict[str, Tensor]] = {
        "masked_lm": {"labels": per_token},
        "pretrain": {"labels": per_token, "next_sentence_label": torch.tensor([0, 1, 1, 0])},
        "classify": {"labels": torch.tensor([0, 1, 2, 1])},
        "choice": {"labels": torch.tensor([1, 0])},
        "pair": {"labels": torch.tensor([0, 1, 1, 0])},
        "tag": {"labels": per_token},
        "span": {"start_positions": starts, "end_positions": ends},
    }
    if kind == "choice":
        ids, mask = ids.view(2, 2, -1), mask.view(2, 2, -1)
    out = model(input_ids=ids, attention_mask=mask, **labels[kind])
    names = {"prediction_logits": "logits", "seq_relationship_logits": "pair_logits"}
    values = {names.get(k, k): v for k, v in out.items() if k.endswith("logits")}
    if kind in ("masked_lm", "pretrain", "tag", "span"):
        values = {k: v if k == "pair_logits" else v * where.view(*where.shape, *[1] * (v.dim() - 2)) for k, v in values.items()}
    return values, out.loss


def loss_of(kind: str, out: dict[str, Tensor]) -> Tensor:
    """The loss that theirs states, from our right-padded logits."""
    ids, mask = pad(TEXTS, "right", 3)
    per_token = torch.where(mask.bool(), torch.arange(ids.numel()).view(ids.shape) % 3, -100)
    sequences = torch.tensor([0, 1, 1, 0])
    match kind:
        case "classify":
            return F.cross_entropy(out["logits"], torch.tensor([0, 1, 2, 1]))
        case "choice":
            return F.cross_entropy(out["logits"], torch.tensor([1, 0]))
        case "pair":
            return F.cross_entropy(out["logits"], sequences)
        case "span":
            starts, ends = torch.tensor([1, 0, 5, 2]), torch.tensor([2, 1, 5, 0])
            return (F.cross_entropy(out["start_logits"], starts) + F.cross_entropy(out["end_logits"], ends)) / 2
    loss = F.cross_entropy(out["logits"].flatten(0, 1), per_token.flatten())
    return loss + F.cross_entropy(out["pair_logits"], sequences) if kind == "pretrain" else loss


def rows(kind: str, out: Output, batch: Batch) -> dict[str, Tensor]:
    """Our values with a row a sequence, as theirs are."""
    found = {n: getattr(out, n) for n in ("logits", "start_logits", "end_logits", "pair_logits")}
    values = {n: v for n, v in found.items() if v is not None and not (kind == "span" and n == "logits")}
    tokenwise = kind in ("masked_lm", "pretrain", "tag", "span")
    return {n: batch.unpack(v) if tokenwise and n != "pair_logits" else v for n, v in values.items()}


@pytest.mark.parametrize("kind", KINDS)
def test_bert_as_theirs(kind: str, tmp_path: Path) -> None:
    """Logits in every layout, the loss, every gradient, and the folder there and back."""
    more = {"id2label": {0: "O", 1: "B", 2: "I"}} if kind in ("classify", "tag") else {}
    model = reference(kind, tmp_path / "in", **more)
    theirs, loss = ask(model, kind)
    loss.backward()
    ours = load(tmp_path / "in")
    assert ours.spec.head is not None
    assert ours.spec.head.kind == kind
    for layout in LAYOUTS:
        batch = batch_of(TEXTS, None, layout)
        values = rows(kind, ours(batch, choices=2), batch)
        assert values.keys() == theirs.keys()
        for name, value in values.items():
            torch.testing.assert_close(value, theirs[name], **NEAR)
    ids, mask = pad(TEXTS, "right", 3)
    if kind == "choice":
        ids, mask = ids.view(2, 2, -1), mask.view(2, 2, -1)
    out = ours(ids, mask)
    if kind == "span":  # padding competes in their loss
        values = {"start_logits": out.start_logits, "end_logits": out.end_logits}
    else:
        values = {"logits": out.logits, "pair_logits": out.pair_logits}
    mine = loss_of(kind, values)
    torch.testing.assert_close(mine, loss, **NEAR)
    mine.backward()  # type: ignore[no-untyped-call]
    grads = {n.removeprefix("body."): torch.zeros_like(p) if p.grad is None else p.grad for n, p in ours.named_parameters()}
    by_their_name = their_tensors(ours, grads)
    for name, p in model.named_parameters():
        if p.grad is not None and name in by_their_name:
            torch.testing.assert_close(by_their_name[name], p.grad, **NEAR, msg=lambda m, n=name: f"{n}: {m}")
    ours.save(tmp_path / "out")
    before, after = load_file(tmp_path / "in/model.safetensors"), load_file(tmp_path / "out/model.safetensors")
    assert before.keys() == after.keys()
    assert all(torch.equal(before[n], after[n]) for n in before)
    _, info = type(model).from_pretrained(tmp_path / "out", output_loading_info=True)
    assert not info["missing_keys"] | info["unexpected_keys"]


@pytest.mark.parametrize("kind", ["classify", "tag"])
def test_label_names_both_ways(kind: str, tmp_path: Path) -> None:
    names = ("O", "B-PER", "I-PER")
    ours = build(TINY, kind, labels=names)
    assert ours.label_names == names
    ours.save(tmp_path)
    theirs = getattr(transformers, BERT.architectures[kind]).from_pretrained(tmp_path)
    assert theirs.config.id2label == dict(enumerate(names))
    assert theirs.config.label2id == {n: i for i, n in enumerate(names)}
    theirs.save_pretrained(tmp_path / "again")
    assert load(tmp_path / "again").label_names == names
    other = load(tmp_path, labels=["x", "y"])
    assert other.label_names == ("x", "y")
    assert "fresh" in other.notes[0]


def test_a_regression_keeps_its_type(tmp_path: Path) -> None:
    """One label is a number: `problem_type` stays what it was, and the logits are [N, 1]."""
    model = reference("classify", tmp_path / "in", num_labels=1, problem_type="regression")
    ours = load(tmp_path / "in")
    ids, mask = pad(TEXTS, "right", 3)
    torch.testing.assert_close(ours(ids, mask).logits, model(ids, mask).logits, **NEAR)
    assert ours(ids, mask).logits.shape == (4, 1)
    ours.save(tmp_path / "out")
    again = transformers.BertForSequenceClassification.from_pretrained(tmp_path / "out")
    assert (again.config.num_labels, again.config.problem_type) == (1, "regression")
    assert again(ids, mask, labels=torch.rand(4)).loss.isfinite()


def test_one_body_under_every_head(tmp_path: Path) -> None:
    """Another head than the folder's starts fresh, is said, and is saved under its own class."""
    reference("classify", tmp_path / "in", id2label={i: str(i) for i in range(5)})
    for kind in KINDS:
        model = load(tmp_path / "in", kind, seed=7)
        assert bool(model.notes) is (kind != "classify")
        model.save(tmp_path / kind)
        config = json.loads((tmp_path / kind / "config.json").read_text("utf-8"))
        assert config["architectures"] == [BERT.architectures[kind]]
        theirs, info = getattr(transformers, BERT.architectures[kind]).from_pretrained(tmp_path / kind, output_loading_info=True)
        assert not info["missing_keys"] | info["unexpected_keys"] | set(info["mismatched_keys"])
        if kind in ("span", "pretrain"):  # two answers, whatever the classifier's labels were
            assert theirs.config.num_labels == 2
    with pytest.raises(UsageError, match="cannot continue text"):
        load(tmp_path / "in", "causal_lm")
    with pytest.raises(UsageError, match="no 'detect' head: it has pool, masked_lm, pretrain"):
        load(tmp_path / "in", "detect")


def test_a_pretraining_head_fills_masks(tmp_path: Path) -> None:
    reference("pretrain", tmp_path)
    whole, part = load(tmp_path), load(tmp_path, "masked_lm")
    check_head(whole.spec, "masked_lm")
    ids = torch.tensor([[5, 6, 7]])
    assert torch.equal(whole(ids).logits, part(ids).logits)
    torch.testing.assert_close(whole(ids, logits_at=torch.tensor([2])).logits[0], part(ids).logits[0, 2])
    with pytest.raises(ModelError, match="has pretrain and the job needs tag"):
        check_head(whole.spec, "tag")


def test_choices() -> None:
    model = build(TINY, "choice")
    ids = torch.randint(5, 90, (2, 3, 4))
    logits = model(ids).logits
    assert logits.shape == (2, 3)
    assert torch.equal(model(ids.flatten(0, 1), choices=3).logits, logits)
    assert model(Batch.packed(TEXTS)).logits.shape == (1, 4)  # one question
    assert model(Batch.packed(TEXTS), choices=2).logits.shape == (2, 2)
    with pytest.raises(UsageError, match="4 sequences are no whole number of questions with 3 choices"):
        model(Batch.packed(TEXTS), choices=3)


def alone(head: HeadSpec) -> tuple[Any, Tensor, Read]:
    """A head over random states of a width of 32."""
    torch.manual_seed(0)
    spec = BERT.spec(TINY)
    batch = Batch.padded(torch.randint(5, 90, (2, 6)))
    table = torch.randn(99, 32)
    module = build_head(head, spec)
    with torch.no_grad():
        for p in module.parameters():
            p.copy_(0.3 * torch.randn_like(p))
    return module.eval(), torch.randn(2, 6, 32), Read(batch, table)


def copied(theirs: Any, ours: Any, names: dict[str, str]) -> Any:
    tensors = dict(ours.named_parameters())
    theirs.load_state_dict({name: tensors[mine] for name, mine in names.items()})
    return theirs.eval()


def test_electra_detects() -> None:
    ours, x, read = alone(HeadSpec("detect", dense="gelu", bias=True, labels=1))
    theirs = ElectraDiscriminatorPredictions(transformers.ElectraConfig(hidden_size=32, hidden_act="gelu"))
    both = {f"{t}.{p}": f"{o}.{p}" for t, o in (("dense", "dense"), ("dense_prediction", "out")) for p in ("weight", "bias")}
    theirs = copied(theirs, ours, both)
    assert ours(x, read)["logits"].shape == (2, 6)
    torch.testing.assert_close(ours(x, read)["logits"], theirs(x))


def test_modernberts_layer_before_the_labels() -> None:
    spec = HeadSpec("tag", dense="gelu", dense_bias=False, dense_norm=NormSpec("layer", 1e-5, bias=False), bias=True, labels=3)
    ours, x, read = alone(spec)
    theirs = copied(
        ModernBertPredictionHead(transformers.ModernBertConfig(hidden_size=32)),
        ours,
        {"dense.weight": "dense.weight", "norm.weight": "norm.weight"},
    )
    torch.testing.assert_close(ours(x, read)["logits"], ours.out(theirs(x)))
    pooled, x, read = alone(spec.replace(kind="classify", pool="mean"))
    theirs = copied(theirs, pooled, {"dense.weight": "pooler.dense.weight", "norm.weight": "pooler.norm.weight"})
    torch.testing.assert_close(pooled(x, read)["logits"], pooled.out(theirs(x.mean(1))))


def test_bigbird_answers_after_the_question() -> None:
    head = HeadSpec(
        "span", bias=True, labels=2, feed_forward=FeedForwardSpec(37, "gelu_new"), dense_norm=NormSpec("layer", 1e-12),
        question_ends=4,
    )  # fmt: skip
    ours, x, read = alone(head)
    config = transformers.BigBirdConfig(hidden_size=32, intermediate_size=37, hidden_act="gelu_new", num_labels=2)
    parts = (("intermediate.dense", "feed_forward.up"), ("output.dense", "feed_forward.down"), ("output.LayerNorm", "norm"),
             ("qa_outputs", "out"))  # fmt: skip
    both = {f"{t}.{p}": f"{o}.{p}" for t, o in parts for p in ("weight", "bias")}
    expected = copied(BigBirdForQuestionAnsweringHead(config), ours, both)(x)
    found = ours(x, read)  # no token ends a question: nothing is out of the race
    torch.testing.assert_close(found["logits"], expected)
    tokens = read.batch.tokens.clone()
    tokens[0, 2], tokens[1, 4] = 4, 4
    asked = Batch.padded(tokens, torch.tensor([[1] * 6, [0, 0, 1, 1, 1, 1]]))
    assert question(asked, 4).tolist() == [[True] * 3 + [False] * 3, [False, False, True, True, True, False]]
    found = ours(x, Read(asked, read.table))
    out = torch.tensor([[0, 1, 1, 0, 0, 0], [0, 0, 0, 1, 1, 0]]) * 1e6
    torch.testing.assert_close(found["start_logits"], expected[..., 0] - out)
    torch.testing.assert_close(found["end_logits"], expected[..., 1] - out)


def test_softcap_bounds_the_logits() -> None:
    capped, x, read = alone(HeadSpec("causal_lm", softcap=2.0))
    free, _, _ = alone(HeadSpec("causal_lm"))
    logits = free(x, read)["logits"]
    assert logits.abs().max() > 2
    torch.testing.assert_close(capped(x, read)["logits"], 2.0 * torch.tanh(logits / 2.0))


def test_a_question_without_types_gets_them() -> None:
    """As the reference: 0 up to the end of the question, 1 after it."""
    head = HeadSpec("span", bias=True, labels=2, question_ends=4)
    model = Model(BERT.spec(TINY).replace(head=head), TINY).initialise(1).eval()
    ids = torch.tensor([[5, 6, 4, 7, 8]])
    typed = model(ids, token_type_ids=torch.tensor([[0, 0, 0, 1, 1]]))
    assert torch.equal(model(ids).start_logits, typed.start_logits)


def test_kinds_that_do_not_fit() -> None:
    with pytest.raises(ModelError, match="'causal_lm' is not a head of an encoder"):
        encoder_head("causal_lm", TINY, lm=HeadSpec("masked_lm"), drop=0.0)
    with pytest.raises(ModelError, match="'masked_lm' is not a head of a decoder"):
        decoder_head("masked_lm", TINY)
