"""Spans of tags: the same as seqeval's, for every scheme, well formed or not."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from maskfork.errors import DataError
from maskfork.measure.spans import SCHEMES, Scheme, Span, count, detect_scheme, macro_f1, read_spans, score_labels, score_spans

LETTERS = {"IOB1": "IB", "IOB2": "IB", "IOE2": "IE", "BIOES": "BIES", "BILOU": "BILU"}


def their_scheme(scheme: Scheme) -> type:
    import seqeval.scheme as theirs

    return getattr(theirs, "IOBES" if scheme == "BIOES" else scheme)


def sequences(letters: str) -> st.SearchStrategy[list[tuple[list[str], list[str]]]]:
    tag = st.one_of(st.just("O"), st.builds("{}-{}".format, st.sampled_from(letters), st.sampled_from(["PER", "LOC", "a-b"])))
    pair = st.integers(1, 9).flatmap(
        lambda n: st.tuples(st.lists(tag, min_size=n, max_size=n), st.lists(tag, min_size=n, max_size=n))
    )
    return st.lists(pair, min_size=1, max_size=4)


@pytest.mark.parametrize("scheme", SCHEMES)
@settings(max_examples=150, deadline=None)
@given(data=st.data())
@pytest.mark.filterwarnings("ignore")
def test_strict_spans_are_those_of_seqeval(scheme: Scheme, data: st.DataObject) -> None:
    from seqeval.metrics import f1_score, precision_score, recall_score
    from seqeval.scheme import Tokens

    pairs = data.draw(sequences(LETTERS[scheme]))
    gold, guess = [a for a, _ in pairs], [b for _, b in pairs]
    ours = [read_spans(tags, scheme) for tags in gold], [read_spans(tags, scheme) for tags in guess]
    for tags, spans in zip(gold, ours[0], strict=True):
        assert spans == [Span(e.start, e.end, e.tag) for e in Tokens(tags, their_scheme(scheme)).entities]
    score = score_spans(*ours)
    how = {"mode": "strict", "scheme": their_scheme(scheme), "zero_division": 0}
    assert score.f1 == f1_score(gold, guess, **how)
    assert score.precision == precision_score(gold, guess, **how)
    assert score.recall == recall_score(gold, guess, **how)


@settings(max_examples=300, deadline=None)
@given(pairs=sequences("BIES"))
@pytest.mark.filterwarnings("ignore")
def test_lenient_spans_are_those_of_conlleval(pairs: list[tuple[list[str], list[str]]]) -> None:
    from seqeval.metrics import f1_score
    from seqeval.metrics.sequence_labeling import get_entities

    gold, guess = [a for a, _ in pairs], [b for _, b in pairs]
    for tags in gold:
        assert read_spans(tags) == [Span(start, end + 1, label) for label, start, end in get_entities(tags)]
    ours = [read_spans(tags) for tags in gold], [read_spans(tags) for tags in guess]
    assert score_spans(*ours).f1 == f1_score(gold, guess, zero_division=0)
    if any(map(len, [*ours[0], *ours[1]])):  # without a span theirs is nan
        assert macro_f1(score_labels(*ours).values()) == pytest.approx(f1_score(gold, guess, average="macro", zero_division=0))


@pytest.mark.parametrize("other", ["IOB2", "IOE2", "BIOES", "BILOU"])
@settings(max_examples=100, deadline=None)
@given(
    ends=st.lists(st.tuples(st.integers(0, 2), st.integers(1, 3), st.sampled_from("XY")), max_size=5),
)
def test_well_formed_spans_come_back_from_every_scheme(other: Scheme, ends: list[tuple[int, int, str]]) -> None:
    spans, at = [], 0
    for gap, length, label in ends:
        spans.append(Span(at + gap, at + gap + length, label))
        at += gap + length
    tags = ["O"] * at
    first, inside, last, alone = {"IOB2": "BIIB", "IOE2": "IIEE", "BIOES": "BIES", "BILOU": "BILU"}[other]
    for span in spans:
        size = span.end - span.start
        letters = alone if size == 1 else first + inside * (size - 2) + last
        tags[span.start : span.end] = [f"{letter}-{span.label}" for letter in letters]
    assert read_spans(tags, other) == spans
    if other != "IOE2":  # the lenient reading knows no scheme that only marks ends apart
        assert read_spans(tags) == spans


def test_schemes_are_known_by_their_letters() -> None:
    assert detect_scheme([["O", "B-X", "I-X"], ["B-Y"]]) == "IOB2"
    assert detect_scheme([["O", "I-X", "B-X"]]) == "IOB1"
    assert detect_scheme([["B-X", "E-X", "S-Y"]]) == "BIOES"
    assert detect_scheme([["B-X", "L-X", "U-Y"]]) == "BILOU"
    assert detect_scheme([["I-X", "E-X"]]) == "IOE2"
    with pytest.raises(DataError, match="no scheme"):
        detect_scheme([["S-X", "U-X"]])


def test_conll_2003_is_iob1_and_has_its_published_number_of_entities(data_dir: Path) -> None:
    lines = (data_dir / "ner/conll2003/eng.testa").read_text("utf-8").splitlines()
    sentences: list[list[str]] = [[]]
    for line in lines:
        if not line.strip():
            sentences.append([])
        elif not line.startswith("-DOCSTART-"):
            sentences[-1].append(line.split()[-1])
    sentences = [tags for tags in sentences if tags]
    assert detect_scheme(sentences) == "IOB1"
    lenient = [read_spans(tags) for tags in sentences]
    assert sum(map(len, lenient)) == 5942
    assert lenient == [read_spans(tags, "IOB1") for tags in sentences]


def test_counts_of_each_sequence_and_what_cannot_be_counted() -> None:
    gold = [[Span(0, 2, "X")], []]
    guess = [[Span(0, 2, "X"), Span(3, 4, "Y")], [Span(0, 1, "X")]]
    assert np.array_equal(count(gold, guess), [[1, 2, 1], [0, 1, 0]])
    assert score_spans([[]], [[]]).f1 == 0.0
    with pytest.raises(DataError, match="one for each"):
        count(gold, guess[:1])
    with pytest.raises(DataError, match="no tag"):
        read_spans(["PER"])
    with pytest.raises(DataError, match="does not belong to IOB2"):
        read_spans(["E-X"], "IOB2")
