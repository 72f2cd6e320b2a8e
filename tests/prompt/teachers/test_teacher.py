from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pytest

from maskfork.demo.models import decoder_path
from maskfork.errors import EndpointError, UsageError
from maskfork.prompt.ask.label import LabelAsker
from maskfork.prompt.tasks import TaskDescription, read_task
from maskfork.prompt.teachers.choose import Terms, open_teacher
from maskfork.prompt.teachers.messages import Usage
from maskfork.prompt.teachers.teacher import Labels, pooled
from tests.prompt.teachers.server import Call, ChatServer, Say

NAMES = ("positive", "negative", "mixed")
TEXTS = [f"film {i}" for i in range(9)]
TASK = read_task(
    {
        "what": "How does the writer feel?",
        "labels": {"positive": "likes it", "negative": "", "mixed": "both"},
        "examples": [{"text": "great", "answer": "positive"}, {"text": "awful", "answer": "negative"}],
    }
)


def film(call: Call) -> int:
    return int(call.last.split()[1])


def terms(**options: Any) -> Terms:
    return Terms(**{"model": "tiny-1", **options})


def test_the_task_goes_out_as_it_is_written() -> None:
    with ChatServer(lambda call: Say(NAMES[film(call) % 3])) as server:
        found = open_teacher(server.url, TASK, terms(price_in=1.0, price_out=1.0)).label(TEXTS)
    said = [m["content"] for m in server.calls[0].body["messages"]]
    assert said[0].startswith("How does the writer feel?")
    assert "- positive: likes it\n- negative\n- mixed: both\n" in said[0]
    assert said[1:5] == ["great", "positive", "awful", "negative"]
    assert found.names == NAMES
    assert found.labels.tolist() == [i % 3 for i in range(9)]
    assert found.costs is not None
    np.testing.assert_allclose(found.costs, 22e-6)
    assert found.cost == pytest.approx(found.spent)
    assert np.isnan(found.agreement).all()


def test_orders_turn_labels_and_examples_and_agreement_is_counted() -> None:
    def respond(call: Call) -> Say:
        """Takes the label that is listed first for every third film: a bias of position."""
        listed = [line[2:].split(":")[0] for line in call.body["messages"][0]["content"].splitlines() if line.startswith("- ")]
        return Say(listed[0] if film(call) % 3 == 0 else "negative")

    with ChatServer(respond) as server:
        found = open_teacher(server.url, TASK, terms(orders=4)).label(TEXTS)
    assert len(server.calls) == 36
    assert len({c.body["messages"][0]["content"] for c in server.calls}) > 2
    assert {tuple(sorted(m["content"] for m in c.body["messages"][1:5])) for c in server.calls} == {
        ("awful", "great", "negative", "positive")
    }
    swayed = np.arange(9) % 3 == 0
    assert (found.labels[~swayed] == 1).all()
    assert (found.agreement[~swayed] == 1.0).all()
    assert (found.agreement[swayed] < 1.0).all()
    assert (found.confidence[swayed] < found.confidence[~swayed].min()).all()
    np.testing.assert_allclose(found.probs.sum(1), 1.0)


def test_samples_are_drawn_and_not_paid_twice(tmp_path: Path) -> None:
    with ChatServer(lambda call: Say("positive" if call.same else "mixed")) as server:
        found = open_teacher(server.url, TASK, terms(samples=3), cache_dir=tmp_path).label(TEXTS)
        again = open_teacher(server.url, TASK, terms(samples=3), cache_dir=tmp_path).label(TEXTS)
    assert len(server.calls) == 27
    assert {c.body["temperature"] for c in server.calls} == {0.7}
    assert (found.labels == 0).all()
    np.testing.assert_allclose(found.agreement, 2 / 3)
    np.testing.assert_allclose(again.probs, found.probs)


def test_rows_end_labelled_or_counted_with_their_reason() -> None:
    def respond(call: Call) -> Say:
        if any(m["content"] == "film 4" for m in call.body["messages"]):
            return Say("banana")
        return Say(status=400, error={"message": "too rude"}) if call.last == "film 5" else Say("mixed")

    with ChatServer(respond) as server:
        found = open_teacher(server.url, TASK, terms(orders=2)).label(TEXTS)
    assert found.labels[[4, 5]].tolist() == [-1, -1]
    assert (found.outside, found.failed) == (1, 1)
    assert "banana" in str(found.errors[4])
    assert "too rude" in str(found.errors[5])
    assert [error for i, error in enumerate(found.errors) if i not in (4, 5)] == [None] * 7
    assert found.confidence[4] == 0.0


def test_a_row_that_one_order_lost_is_judged_by_the_others() -> None:
    def turn(labels: list[int]) -> Labels:
        known = np.array(labels)
        probs = np.where(known[:, None] < 0, 1 / 3, np.eye(3)[np.maximum(known, 0)])
        errors = tuple("lost" if label < 0 else None for label in labels)
        nothing = np.full(3, np.nan)
        return Labels(NAMES, known, probs, nothing, errors=errors, latencies_ms=nothing, usage=Usage(3, 1))

    found = pooled([turn([0, -1, -1]), turn([0, 1, -1]), turn([2, 1, -1])])
    assert found.labels.tolist() == [0, 1, -1]
    assert found.agreement[:2].tolist() == [2 / 3, 1.0]
    assert np.isnan(found.agreement[2])
    assert found.errors == (None, None, "lost")
    assert found.usage == Usage(9, 3)


def test_the_preview_counts_all_orders_and_sends_nothing() -> None:
    with ChatServer() as server:
        preview = open_teacher(server.url, TASK, terms(orders=3, price_in=1.0, price_out=1.0)).preview(TEXTS)
        assert server.calls == []
    assert preview is not None
    assert preview.calls == 27


def test_an_endpoint_of_several_models_must_be_told_which() -> None:
    with ChatServer() as server, pytest.raises(EndpointError, match=r"offers huge-2, tiny-1: say which with --teacher-model"):
        open_teacher(server.url, TASK)


def test_what_does_not_fit_is_said() -> None:
    with pytest.raises(UsageError, match="--max-cost is for an endpoint"):
        open_teacher("some/decoder", TASK, Terms(max_cost=1.0))
    with pytest.raises(UsageError, match="one label of several"):
        open_teacher("http://127.0.0.1:9/v1", TaskDescription("Find.", TASK.labels, (), "spans"), terms())
    with pytest.raises(UsageError, match="3 labels and 2 examples have 12 orders"):
        open_teacher("http://127.0.0.1:9/v1", TASK, terms(orders=13))
    with pytest.raises(UsageError, match="not both"):
        open_teacher("http://127.0.0.1:9/v1", TASK, terms(orders=2, samples=2))


@pytest.mark.skipif(decoder_path() is None, reason="the small decoder is not shipped with this installation")
def test_a_decoder_here_labels_and_goes_on_where_it_stopped(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    folder = str(decoder_path())
    whole = open_teacher(folder, TASK, Terms(orders=2)).label(TEXTS)
    teacher = open_teacher(folder, TASK, Terms(orders=2), cache_dir=tmp_path)
    teacher.label(TEXTS[:5])
    again = open_teacher(folder, TASK, Terms(orders=2), cache_dir=tmp_path)
    asked: list[int] = []
    plain = LabelAsker.ask

    def counted(self: LabelAsker, texts: list[str], *more: Any) -> list[dict[str, Any]]:
        asked.append(len(texts))
        return plain(self, texts, *more)

    monkeypatch.setattr(LabelAsker, "ask", counted)
    found = again.label(TEXTS)
    assert sum(asked) == 2 * 4
    np.testing.assert_allclose(found.probs, whole.probs, atol=1e-4)
    assert (found.labels >= 0).all()
    assert ((found.agreement == 1.0) | (found.agreement == 0.5)).all()
    assert again.preview(TEXTS) is None


@pytest.mark.skipif(decoder_path() is None, reason="the small decoder is not shipped with this installation")
def test_a_decoder_here_writes_and_votes_where_it_is_told_to(tmp_path: Path) -> None:
    found = open_teacher(str(decoder_path()), TASK, Terms(samples=2), cache_dir=tmp_path).label(TEXTS[:3])
    for label, error, agreement in zip(found.labels.tolist(), found.errors, found.agreement.tolist(), strict=True):
        assert (label >= 0) == (error is None)
        assert agreement in (0.0, 0.5, 1.0)
    assert found.outside == sum(found.labels < 0)
