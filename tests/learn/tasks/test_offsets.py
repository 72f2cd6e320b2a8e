"""Every span of every task is its own text: `text[start:end] == span["text"]`, on any Unicode and with any tokenizer."""

from __future__ import annotations

from functools import cache
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from maskfork import Model
from maskfork.learn.tasks.answer.trained import Answerer
from maskfork.learn.tasks.answer.trained import Reading as AnswerReading
from maskfork.learn.tasks.common.words import letters_of
from maskfork.learn.tasks.intent_slots.joint import Joint, Understander
from maskfork.learn.tasks.tag.examples import tag_names
from maskfork.learn.tasks.tag.prepare import Reading
from maskfork.learn.tasks.tag.trained import Tagger
from tests.learn.tiny import make, tokenizer

#: WordPiece that lowers and strips accents; byte-level BPE; sentencepiece's BPE and Unigram
TOKENIZERS = ("bert", "gpt2", "llama", "t5")
PIECES = [
    "film", "Lovely", " ", "  ", "\n", "\u00a0", "é", "e\u0301", "Å", "ß", "ﬁ", "①", "𝔘", "İ", "�", "\x07", "U.S.", "don't",
    "3,500", "#x", "@y", "北京", "大学", "さくら", "서울에서", "ไทย", "नमस्ते", "שָׁלוֹם", "مرحبا",
    "😀", "👩\u200d👩\u200d👧", "👍🏽", "🇩🇪", "\ufe0f", "\u200b", "\u200d", "\u0301",
]  # fmt: skip
TEXTS = st.lists(st.sampled_from(PIECES) | st.text(st.characters(exclude_categories=["Cs"]), max_size=3), max_size=14).map(
    "".join
)


def model_for(kind: str, head: str, **more: Any) -> Model:
    """The tokenizer's own family where it has the heads, else a BERT that reads its tokens."""
    if kind != "gpt2":
        return make(kind, head, **more)
    model = make("bert", head, vocab_size=tokenizer(kind).size, **more)
    model.tokenizer = tokenizer(kind)
    return model


@cache
def models(kind: str) -> tuple[Tagger, Tagger, Answerer, Understander]:
    names = tag_names("spans", ["A", "B"])
    how = Reading(limit=20, stride=4)
    tagger = Tagger(model_for(kind, "tag", labels=names), "spans", how)
    words = Tagger(model_for(kind, "tag", labels=("X", "Y")), "words", Reading(limit=20, stride=4, label_on="all"))
    answerer = Answerer(model_for(kind, "span"), AnswerReading(limit=24, stride=4))
    return tagger, words, answerer, Understander(Joint(tagger.model, 2), tagger, ("go", "stop"))


def check(text: str, spans: list[dict[str, Any]], *, letters: bool = True) -> None:
    whole = {0, *(end for _, end in letters_of(text))} if letters else set(range(len(text) + 1))
    for span in spans:
        assert 0 <= span["start"] < span["end"] <= len(text)
        assert text[span["start"] : span["end"]] == span["text"]
        assert span["text"].strip()
        assert 0 <= span["score"] <= 1
        assert {span["start"], span["end"]} <= whole  # no letter or emoji is cut


@pytest.mark.parametrize("kind", TOKENIZERS)
@settings(max_examples=20, deadline=None)
@given(texts=st.lists(TEXTS, min_size=1, max_size=4))
def test_spans_are_their_own_text(kind: str, texts: list[str]) -> None:
    tagger, words, answerer, understander = models(kind)
    rows = [{"text": text} for text in texts]
    for text, found, of_words, said in zip(
        texts, tagger.predict(rows), words.predict(rows), understander.predict(rows), strict=True
    ):
        check(text, found["spans"])
        check(text, of_words["spans"])
        check(text, said["slots"])
        assert found["tokens_lost"] == 0
    asked = [{"question": "film ?", "context": text} for text in texts]
    for text, answer in zip(texts, answerer.predict(asked), strict=True):
        check(text, answer["answers"])
    cut = [{"tokens": text.split() or ["a"]} for text in texts]
    for row, found in zip(cut, tagger.predict(cut), strict=True):
        check(found["text"], found["spans"], letters=False)  # the user's words may begin with a mark
        assert len(found["tags"]) == len(row["tokens"])
