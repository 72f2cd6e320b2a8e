"""Objectives by name: every entry says what its objective is, settings arrive in their types, wrong ones in one sentence."""

from __future__ import annotations

from pathlib import Path

import pytest

from maskfork.errors import TokenizerError, UsageError
from maskfork.learn.objectives.contrastive import Contrastive
from maskfork.learn.objectives.denoise import Denoise
from maskfork.learn.objectives.distill import Distill
from maskfork.learn.objectives.mixture import Mixture
from maskfork.learn.objectives.mlm import MaskedLM
from maskfork.learn.objectives.names import OBJECTIVES, Entry, by_name
from maskfork.learn.objectives.nsp import NextSentence
from maskfork.learn.objectives.rtd import ReplacedTokens
from maskfork.learn.objectives.sentences import FullSentences
from maskfork.learn.objectives.vocabulary import Vocabulary
from tests.learn.tiny import make, tokenizer

WORDS = Vocabulary(
    99, frozenset(range(12)), mask=4, pad=0, cls=2, sep=3, bos=2, eos=1, sentinels=(5, 6, 7, 8), stops=(20,), fill=(9, 10, 11)
)


@pytest.mark.parametrize("entry", [e for e in OBJECTIVES.values() if e.name != "distill"], ids=lambda e: e.name)
def test_every_entry(entry: Entry) -> None:
    made = by_name(entry.name, WORDS)
    assert made.needs == entry.needs
    assert entry.head in (made.head, "any")
    assert made.name == entry.name or isinstance(made, Mixture)
    for part in ("Requirements:", "Inputs:", "Relations:", "Example:"):
        assert part in (type(made).__doc__ or "")
    assert [v for v in entry.settings if v in ("vocabulary", "inner", "mlm")] == []


def test_settings_in_their_types() -> None:
    assert by_name("mlm", WORDS, rate="0.3", units="word") == MaskedLM(WORDS, rate=0.3, units="word")
    assert by_name("mlm", WORDS, rate=0.3, static="7") == MaskedLM(WORDS, rate=0.3, static=7)
    assert by_name("denoise", WORDS, noises="masking,rotation", rate="0.2") == Denoise(WORDS, ("masking", "rotation"), 0.2)
    assert by_name("denoise", WORDS, noises="masking") == Denoise(WORDS, ("masking",))
    assert by_name("contrastive", WORDS, columns="3", losses="ranking,triplet:0.5", dims="64,32") == Contrastive(
        3, (("ranking", 1.0), ("triplet", 0.5)), dims=(64, 32)
    )
    assert by_name("span-corruption", WORDS, prefix="true").prefix is True  # type: ignore[attr-defined]
    pairs = by_name("nsp", WORDS, length="64", rate="0.2")
    assert pairs == NextSentence(WORDS, 64, mlm=MaskedLM(WORDS, rate=0.2))
    assert by_name("nsp", WORDS, alone=True) == NextSentence(WORDS)
    full = by_name("full-sentences", WORDS, length="64", masked="1", random="0")
    assert full == FullSentences(WORDS, MaskedLM(WORDS, masked=1.0, random=0.0), 64)
    found = by_name("rtd", WORDS, rate="0.25", weight="40")
    assert isinstance(found, ReplacedTokens)
    assert (found.weight, found.hidden) == (40.0, MaskedLM(WORDS, rate=0.25, masked=0.85, random=0.0))


def test_from_a_tokenizer() -> None:
    own = tokenizer("t5")
    own.inner.add_special_tokens(["[R]", "[S]", "[X]", *(f"<extra_id_{i}>" for i in range(20))])
    mixture = by_name("ul2", own)
    assert isinstance(mixture, Mixture)
    assert {part.mode for part in mixture.parts} == {(own.id("[R]"),), (own.id("[S]"),), (own.id("[X]"),)}
    with pytest.raises(TokenizerError, match="needs sentinels"):
        by_name("span-corruption", tokenizer("t5"))


def test_distillation_loads_its_teacher(tmp_path: Path) -> None:
    teacher = make("bert", "masked_lm")
    teacher.save(tmp_path / "teacher")
    made = by_name("distill", tokenizer("bert"), teacher=tmp_path / "teacher", temperature="3", hidden="1", rate="0.3")
    assert isinstance(made, Distill)
    assert (made.temperature, made.hidden, made.inner.rate) == (3.0, 1.0, 0.3)  # type: ignore[attr-defined]
    made.check(teacher)


def test_wrong_questions() -> None:
    for name, settings, told in (
        ("mln", {}, "there is no objective 'mln': did you mean mlm?"),
        ("electra", {}, "did you mean rtd?"),
        ("zzz", {}, "choose from mlm, nsp"),
        ("mlm", {"rat": 1}, "mlm has no setting 'rat': did you mean rate?"),
        ("clm", {"rate": 1}, "clm has no setting 'rate': it has none"),
        ("mlm", {"rate": "much"}, "rate is a number, not 'much'"),
        ("mlm", {"span_max": "2.5"}, r"span_max is a whole number, not 2\.5"),
        ("mlm", {"units": "letter"}, "a token, a word or a span, not a 'letter'"),
        ("span-corruption", {"prefix": "maybe"}, "prefix is true or false, not 'maybe'"),
        ("distill", {}, "name its folder, teacher=FOLDER"),
        ("distill", {"teacher": "x", "inner": "fim"}, "asks what mlm or clm asks, not 'fim'"),
    ):
        with pytest.raises(UsageError, match=told):
            by_name(name, WORDS, **settings)  # type: ignore[arg-type]
