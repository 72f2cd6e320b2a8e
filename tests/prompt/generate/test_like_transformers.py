"""Greedy lines, beams and draws equal those of `transformers`, token for token, padded batches included."""

from __future__ import annotations

import json
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest
import torch
import transformers
from torch import Tensor

from maskfork import Model, load, load_tokenizer
from tests.models.theirs import Case, pad, padding, saved, sequences, writers

FAMILIES = ("gpt2", "llama", "gemma2", "qwen2", "t5", "bart", "marian")
ENDS = [10, 11]
MANY = [10, 11, 12, 13, 20, 30, 40]  # ends that random models do write
WAYS: dict[str, dict[str, Any]] = {
    "greedy": {},
    "greedy that ends": dict(eos_token_id=MANY),
    "greedy with penalties": dict(repetition_penalty=1.3, no_repeat_ngram_size=2, min_new_tokens=5, eos_token_id=MANY),
    "beams": dict(num_beams=3, eos_token_id=MANY),
    "beams that stop early": dict(
        num_beams=4, early_stopping=True, length_penalty=0.5, num_return_sequences=2, eos_token_id=MANY
    ),
    "beams that never stop early": dict(num_beams=3, early_stopping="never", length_penalty=2.0, eos_token_id=MANY),
    "beams with penalties": dict(num_beams=2, repetition_penalty=1.3, no_repeat_ngram_size=2, length_penalty=-1.0),
    "drawn": dict(do_sample=True, top_k=0, temperature=1.5, eos_token_id=MANY),
    "drawn of few, twice": dict(do_sample=True, top_p=0.9, top_k=30, num_return_sequences=2),
    "drawn beams": dict(do_sample=True, top_p=0.9, num_beams=3),
}


@dataclass
class Pair:
    """One language model in both hands."""

    case: Case
    theirs: Any
    ours: Model

    def prompts(self, lengths: tuple[int, ...], seed: int) -> tuple[Tensor, Tensor]:
        """A decoder's prompts are padded on the left, an encoder's sources on the right."""
        lists = sequences(self.case, lengths, seed)
        return pad(lists, "right" if self.case.two_stacks else "left", padding(self.case))

    def both(self, ids: Tensor, mask: Tensor | None, seed: int, **asked: Any) -> tuple[Tensor, Tensor]:
        """(theirs, ours) with the same numbers drawn."""
        asked = {"max_new_tokens": 12, "pad_token_id": padding(self.case), "eos_token_id": ENDS, **asked}
        torch.manual_seed(seed)
        # Theirs takes padding for text that was written, and penalises its token: with penalties each prompt goes alone.
        alone = mask is not None and "repetition_penalty" in asked and not self.case.two_stacks
        want = self.each(ids, mask, asked) if alone else self.theirs.generate(input_ids=ids, attention_mask=mask, **asked)
        torch.manual_seed(seed)
        return want, self.ours.generate(ids, mask, **asked)

    def each(self, ids: Tensor, mask: Tensor | None, asked: dict[str, Any]) -> Tensor:
        """Theirs of every prompt without its padding, put into one tensor again."""
        assert mask is not None
        found = [self.theirs.generate(input_ids=row[keep][None], **asked)[0] for row, keep in zip(ids, mask.bool(), strict=True)]
        width = max(len(one) + int(n) for one, n in zip(found, (mask == 0).sum(1), strict=True))
        out = torch.full((len(ids), width), asked["pad_token_id"])
        for i, (one, lead) in enumerate(zip(found, (mask == 0).sum(1).tolist(), strict=True)):
            out[i, lead : lead + len(one)] = one
        return out


def same(want: Tensor, got: Tensor, start: int, ends: list[int]) -> bool:
    """Up to each text's end: beyond it, theirs fills up with another token than the padding where that is number 0."""

    def cut(rows: Tensor) -> list[list[int]]:
        at = [next((i for i, t in enumerate(row[start:]) if t in ends), len(row)) for row in rows.tolist()]
        return [row[: start + n + 1] for row, n in zip(rows.tolist(), at, strict=True)]

    return cut(want) == cut(got)


def usable(case: Case) -> bool:
    """Not their T5 with fewer encoder than decoder layers, whose cache is too small; nor keys that are turned anew as a text
    grows, of which theirs keeps the old ones, so that its own cache changes the text."""
    turned = (case.config.get("rope_parameters") or {}).get("rope_type") == "dynamic"
    return case.family in FAMILIES and case.tiny and not case.config.get("num_decoder_layers") and not turned


PAIRS = [pytest.param(c, id=str(c), marks=() if c.number == 0 else pytest.mark.slow) for c in writers(FAMILIES) if usable(c)]


@pytest.fixture(scope="module", params=PAIRS)
def pair(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> Pair:
    folder: Path = tmp_path_factory.mktemp("model")
    return Pair(request.param, saved(request.param, folder), load(folder))


@pytest.mark.parametrize("way", WAYS)
def test_every_way(pair: Pair, way: str) -> None:
    check(pair, WAYS[way], (7, 4, 9, 1), seed=5)


@pytest.mark.slow
@pytest.mark.parametrize("way", WAYS)
def test_two_hundred_prompts(pair: Pair, way: str) -> None:
    for seed in range(25):
        lengths = torch.randint(1, 14, (8,), generator=torch.Generator().manual_seed(seed)).tolist()
        check(pair, WAYS[way], tuple(lengths), seed)


def check(pair: Pair, asked: dict[str, Any], lengths: tuple[int, ...], seed: int) -> None:
    ids, mask = pair.prompts(lengths, seed)
    want, got = pair.both(ids, mask, seed, **asked)
    start = 1 if pair.case.two_stacks else ids.shape[1]
    if asked.get("num_beams", 1) == 1:
        assert torch.equal(want, got)
    assert same(want, got, start, asked.get("eos_token_id", ENDS))


def test_without_padding_and_alone(pair: Pair) -> None:
    ids, _ = pair.prompts((6, 6), seed=2)
    for some in (ids, ids[:1]):
        want, got = pair.both(some, None, 0, max_new_tokens=None, max_length=18)
        assert torch.equal(want, got)


def real(folder: Path) -> tuple[Any, Model]:
    theirs = transformers.AutoModelForCausalLM if "stories" in str(folder) else transformers.AutoModelForSeq2SeqLM
    return theirs.from_pretrained(folder).eval(), load(folder)


@pytest.mark.parametrize("count", [20, pytest.param(200, marks=pytest.mark.slow)])
def test_stories(data_dir: Path, count: int) -> None:
    theirs, ours = real(data_dir / "weights" / "stories260K" / "hf")
    generator = torch.Generator().manual_seed(0)
    for _ in range(count // 10):
        lengths = torch.randint(0, 20, (10,), generator=generator).tolist()
        lists = [[1, *torch.randint(3, 512, (n,), generator=generator).tolist()] for n in lengths]
        ids, mask = pad(lists, "left")
        for asked in ({}, dict(num_beams=4, length_penalty=1.2), dict(do_sample=True, top_p=0.9)):
            torch.manual_seed(1)
            want = theirs.generate(ids, attention_mask=mask, max_new_tokens=24, pad_token_id=0, eos_token_id=2, **asked)
            torch.manual_seed(1)
            assert torch.equal(want, ours.generate(ids, mask, max_new_tokens=24, pad_token_id=0, **asked))


def test_the_story_that_everybody_knows(data_dir: Path) -> None:
    folder = data_dir / "weights" / "stories260K"
    model = load(folder / "hf")
    ids = model.generate(torch.tensor([[1]]), max_new_tokens=200, eos_token_id=1)
    text = load_tokenizer(folder / "tok512.model").decode(ids[0].tolist())
    assert text.strip() == (folder / "expected_greedy_200steps.txt").read_text("utf-8").strip()


@pytest.mark.parametrize("count", [20, pytest.param(200, marks=pytest.mark.slow)])
def test_pronunciation(data_dir: Path, count: int) -> None:
    """A BART whose config.json alone says that its last token is forced, and reference outputs of a thousand words."""
    folder = data_dir / "weights" / "us_bart_g2p"
    theirs, ours = real(folder)
    cases = json.loads((folder / "reference.json").read_text("utf-8"))["cases"][:count]
    for at in range(0, count, 10):
        ids, mask = pad([c["input_ids"] for c in cases[at : at + 10]], "right")
        for asked in (dict(), dict(num_beams=5), dict(num_beams=3, early_stopping=True, num_return_sequences=3)):
            want = theirs.generate(input_ids=ids, attention_mask=mask, max_new_tokens=30, **asked)
            assert same(want, ours.generate(ids, mask, max_new_tokens=30, **asked), 1, [2])
        alone = [ours.generate(torch.tensor([c["input_ids"]]), max_new_tokens=49)[0].tolist() for c in cases[at : at + 10]]
        assert alone == [c["greedy_ids"] for c in cases[at : at + 10]]
