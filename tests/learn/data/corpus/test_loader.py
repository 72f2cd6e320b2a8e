"""Batches hold every token once an epoch, nothing leaks, and any batch can be gone on from."""

from __future__ import annotations

import gc
import itertools
import json
import threading
import time
from collections import Counter
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch

from maskfork import Batch
from maskfork.errors import DataError, TokenizerError, UsageError
from maskfork.learn.data.corpus import Around, Corpus, Loader, build_corpus
from maskfork.learn.data.corpus.prefetch import Prefetch
from maskfork.models.families import all_families
from maskfork.models.hub import build
from tests.learn.data.corpus.small import jsonl, texts, tokenizer

LAYOUTS: tuple[dict[str, Any], ...] = (
    {"layout": "windows"},
    {"layout": "windows", "order": "random"},
    {"layout": "packed"},
    {"layout": "packed", "flat": False},
    {"layout": "packed", "whole": True},
    {"layout": "padded"},
)


@pytest.fixture(scope="module")
def corpora(tmp_path_factory: pytest.TempPathFactory) -> dict[str, Corpus]:
    found = {}
    for kind in ("wordpiece", "bytes", "unigram", "letters"):
        folder = tmp_path_factory.mktemp(kind)
        file = jsonl(folder / "a.jsonl", [*texts(300, seed=1), *texts(3, seed=2, longest=900)])
        build_corpus([file], tokenizer(kind), folder / "c", shard_tokens=3000)
        found[kind] = Corpus.open(folder / "c")
    return found


def loader(corpus: Corpus | list[Corpus], **more: Any) -> Loader:
    return Loader(corpus, **{"length": 32, "tokens": 256, "prefetch": 0, "pool": 2000, **more})


def same(one: Batch, two: Batch) -> bool:
    pairs = [
        (getattr(one, name), getattr(two, name)) for name in ("tokens", "positions", "keep", "segments", "words", "documents")
    ]
    return all((a is None) == (b is None) and (a is None or torch.equal(a, b)) for a, b in pairs)


def sequences(batches: Iterator[Batch]) -> Iterator[list[int]]:
    for batch in batches:
        for row, start, n in batch.sequences:
            yield batch.tokens[row, start : start + n].tolist()


@pytest.mark.parametrize("how", [h for h in LAYOUTS if h.get("order") != "random"], ids=str)
@pytest.mark.parametrize("kind", ["wordpiece", "bytes", "unigram"])
def test_an_epoch_holds_every_token_once(corpora: dict[str, Corpus], kind: str, how: dict[str, Any]) -> None:
    corpus = corpora[kind]
    batches = loader(corpus, epochs=1, **how)
    found = Counter(itertools.chain.from_iterable(sequences(batches)))
    expected = Counter(itertools.chain.from_iterable(d.ids.tolist() for d in corpus.documents()))
    special = {i for part in vars(batches.around).values() for i in part}
    for i in special:
        found.pop(i, None)
    missing = expected - found
    assert found <= expected
    # Shuffled windows begin at a random place and have no short one: less than two of them are left out.
    assert missing.total() <= (2 * 32 if how["layout"] == "windows" else 0)


@pytest.mark.parametrize("layout", ["windows", "packed", "padded"])
def test_in_stored_order_nothing_is_left_out(corpora: dict[str, Corpus], layout: Any) -> None:
    corpus = corpora["bytes"]
    found = list(sequences(loader(corpus, epochs=2, order="stored", layout=layout)))
    end = corpus.tokenizer.id("<|endoftext|>")
    once = [i for d in corpus.documents() for i in [*d.ids.tolist(), end]]
    if layout != "packed":  # there a rest may wait
        assert list(itertools.chain.from_iterable(found)) == once * 2
    assert Counter(itertools.chain.from_iterable(found)) == Counter(once * 2)


@pytest.mark.parametrize(
    "how", [{"layout": "packed"}, {"layout": "packed", "flat": False, "whole": True}, {"layout": "padded"}], ids=str
)
@pytest.mark.parametrize("kind", ["wordpiece", "bytes", "unigram"])
def test_every_sequence_is_of_one_document_with_its_special_tokens(
    corpora: dict[str, Corpus], kind: str, how: dict[str, Any]
) -> None:
    corpus = corpora[kind]
    whole = "\n".join("," + ",".join(map(str, d.ids.tolist())) + "," for d in corpus.documents())
    batches = loader(corpus, epochs=1, **how)
    begin, end, closing = batches.around.begin, batches.around.end, batches.around.closing
    lengths = {len(d.ids) for d in corpus.documents()}
    count = 0
    for ids in sequences(batches):
        assert tuple(ids[: len(begin)]) == begin
        body = ids[len(begin) : len(ids) - len(end)]
        assert tuple(ids[len(ids) - len(end) :]) == end
        if closing and body[-1] == closing[0]:
            body = body[:-1]
        assert len(ids) <= 32
        assert not set(body) & {*begin, *end, *closing}
        if body:
            assert "," + ",".join(map(str, body)) + "," in whole
        count += 1
    if how.get("whole"):
        assert count == sum(
            -(-(n + len(closing)) // (32 - len(begin) - len(end))) for n in (len(d.ids) for d in corpus.documents())
        )
    assert max(lengths) > 32


def test_segments_places_and_the_mask(corpora: dict[str, Corpus]) -> None:
    for flat in (True, False):
        batches = loader(corpora["wordpiece"], flat=flat, whole=True)
        for batch in itertools.islice(batches, 5):
            assert batch.shape == ((1, 256) if flat else (8, 32))
            for row, start, n in batch.sequences:
                assert batch.positions[row, start : start + n].tolist() == list(range(n))
            told = batch.spans
            del batch.__dict__["spans"]
            assert batch.spans == told


def test_no_text_sees_another_through_a_model(corpora: dict[str, Corpus]) -> None:
    """Other tokens in one sequence move nothing outside of it."""
    corpus = corpora["wordpiece"]
    config = {**all_families()["bert"].tiny[0], "model_type": "bert", "vocab_size": corpus.tokenizer.size}
    model = build(config, "masked_lm", seed=0).eval()
    for flat in (True, False):
        batch = next(loader(corpus, flat=flat))
        with torch.no_grad():
            before = model(batch).logits
            for row, start, n in batch.sequences[1:4]:
                tokens = batch.tokens.clone()
                tokens[row, start + 1 : start + n - 1] = 7
                moved = (model(replace(batch, tokens=tokens)).logits != before).any(-1)
                inside = torch.zeros_like(moved)
                inside[row, start : start + n] = True
                there = batch.segments >= 0  # type: ignore[operator]
                assert moved[inside].any()
                assert not moved[there & ~inside].any()


def test_packing_fills_the_rows(corpora: dict[str, Corpus]) -> None:
    for whole, least in ((False, 0.95), (True, 0.9)):
        batches = list(itertools.islice(loader(corpora["wordpiece"], whole=whole, length=128, tokens=1024), 20))
        assert sum(int((b.segments >= 0).sum()) for b in batches if b.segments is not None) > least * 20 * 1024


@pytest.mark.parametrize("how", LAYOUTS, ids=str)
def test_going_on_from_every_batch(corpora: dict[str, Corpus], how: dict[str, Any]) -> None:
    corpus = corpora["wordpiece"]
    first = loader(corpus, words=True, **how)
    batches, states = [], [first.state_dict()]
    for batch in itertools.islice(first, 150):
        batches.append(batch)
        states.append(json.loads(json.dumps(first.state_dict())))
    assert first.epoch >= 1
    second = loader(corpus, words=True, prefetch=3, **how)
    for at in (0, 1, 17, 93, 149):
        second.load_state_dict(states[at])
        for number in range(at, min(at + 12, 150)):
            assert same(next(second), batches[number])
            assert second.state_dict() == states[number + 1]
    assert not all(same(a, b) for a, b in zip(batches, loader(corpus, words=True, seed=1, **how), strict=False))


@pytest.mark.parametrize("how", LAYOUTS, ids=str)
def test_machines_together_get_what_one_would(corpora: dict[str, Corpus], how: dict[str, Any]) -> None:
    alone = loader(corpora["bytes"], **how)
    ranks = [loader(corpora["bytes"], rank=rank, world=3, **how) for rank in range(3)]
    for _ in range(8):
        for one in ranks:
            assert same(next(alone), next(one))
    assert ranks[0].state_dict()["place"] == alone.state_dict()["place"]


def test_epochs_are_counted_and_differ(corpora: dict[str, Corpus]) -> None:
    batches = loader(corpora["bytes"], layout="windows")
    orders: dict[int, list[int]] = {}
    for batch in itertools.islice(batches, 400):
        orders.setdefault(batches.epoch, []).append(int(batch.tokens.sum()))
    assert list(orders) == list(range(len(orders)))
    assert len(orders) > 3
    assert orders[0] != orders[1]


def test_a_finite_loader_ends_and_can_begin_again(corpora: dict[str, Corpus]) -> None:
    for prefetch in (0, 2):
        batches = loader(corpora["bytes"], order="stored", epochs=1, prefetch=prefetch)
        first = [int(b.tokens.sum()) for b in batches]
        assert list(batches) == []
        batches.rewind()
        assert [int(b.tokens.sum()) for b in batches] == first


def test_a_pool_shuffles_across_shards_and_memory_is_bounded(corpora: dict[str, Corpus]) -> None:
    corpus = corpora["bytes"]
    order = loader(corpus, pool=1000)._planner.feeds[0].order
    ends = order.stream.ends
    pools = [order.stretches(0, pool) for pool in range(order.pools(0))]
    assert len(pools) > 5
    longest = int(order.stream.lengths.max())
    assert all(1000 - longest <= p[:, 1].sum() <= 1000 + longest for p in pools[:-1])
    numbers = [np.searchsorted(ends, p[:, 0], side="right") for p in pools]
    assert any(set(corpus.shard[n].tolist()) > {int(corpus.shard[n].min())} for n in numbers)
    assert [n for p in numbers for n in p.tolist()] != sorted(n for p in numbers for n in p.tolist())


def test_words_are_numbered_inside_each_sequence(corpora: dict[str, Corpus]) -> None:
    corpus = corpora["wordpiece"]
    for how in ({"layout": "packed"}, {"layout": "padded"}, {"layout": "windows"}):
        for batch in itertools.islice(loader(corpus, words=True, **how), 6):
            assert batch.words is not None
            for row, start, n in batch.sequences:
                ids = batch.tokens[row, start : start + n].tolist()
                words = batch.words[row, start : start + n].tolist()
                assert words[0] == words[-1] == -1
                number = -1
                for at, index in enumerate(ids[1:-1]):
                    number += at == 0 or not corpus.tokenizer.token(index).startswith("##")
                    if how["layout"] != "windows":
                        assert words[1 + at] == number
    assert next(loader(corpus)).words is None


def test_mixtures_keep_their_shares(corpora: dict[str, Corpus], tmp_path: Path) -> None:
    other = jsonl(tmp_path / "b.jsonl", ["zebra " * 40] * 30)
    build_corpus([other], tokenizer("bytes"), tmp_path / "b")
    zebras = Corpus.open(tmp_path / "b")
    known = set(zebras.ids(0).tolist()) - {corpora["bytes"].tokenizer.id("<|endoftext|>")}
    zebra = set(zebras.ids(0)[5:20].tolist())
    assert zebra <= known
    for layout in ("windows", "packed", "padded"):
        mixed = loader([corpora["bytes"], zebras], weights=[3, 1], layout=layout)
        rows = list(itertools.islice(sequences(itertools.islice(mixed, 60)), 10_000))
        of_zebras = sum(len(ids) for ids in rows if len(set(ids) & zebra) > 0 and len(set(ids)) < 12)
        assert 0.2 < of_zebras / sum(map(len, rows)) < 0.3, layout
    again = loader([corpora["bytes"], zebras], weights=[3, 1], layout="padded")
    again.load_state_dict(mixed.state_dict())
    assert same(next(mixed), next(again))


def test_special_tokens_by_family(corpora: dict[str, Corpus]) -> None:
    bert, gpt, t5, letters = (corpora[kind].tokenizer for kind in ("wordpiece", "bytes", "unigram", "letters"))
    assert Around.of(bert) == Around(begin=(bert.id("[CLS]"),), end=(bert.id("[SEP]"),))
    assert Around.of(t5) == Around(end=(t5.id("</s>"),))
    assert Around.of(gpt) == Around(closing=(gpt.id("<|endoftext|>"),))
    assert Around.of(letters) == Around()
    with pytest.raises(TokenizerError, match="has no token that ends a text for an encoder"):
        Around.of(letters, "encoder")


def test_shakespeare_as_nanogpt_reads_it(corpora: dict[str, Corpus]) -> None:
    """Letters, no special tokens: every window is a stretch of the stream."""
    corpus = corpora["letters"]
    stream = np.concatenate([d.ids for d in corpus.documents()]).tobytes()
    for batch in itertools.islice(loader(corpus, layout="windows", order="random"), 5):
        assert batch.shape == (8, 32)
        assert batch.keep is None
        assert batch.segments is None
        assert all(row.numpy().astype(np.uint16).tobytes() in stream for row in batch.tokens)


@pytest.mark.parametrize(
    ("how", "said"),
    [
        ({"length": 32, "tokens": 100}, "100 tokens is no multiple of the length 32: choose 96"),
        ({"length": 2, "tokens": 4}, "2 special tokens leave no room in a sequence of 2"),
        ({"order": "random"}, "random beginnings are for windows"),
        ({"layout": "rows"}, "there is no layout 'rows'"),
        ({"layout": "windows", "length": 10**6, "tokens": 10**6}, "do not fill a window"),
        ({"rank": 2, "world": 2}, "rank 2 is not one of 2"),
        ({"weights": [1, 2]}, "1 corpora need as many weights above 0"),
        ({"epochs": 0}, "epochs are counted of one corpus, from 1 on"),
    ],
)
def test_wrong_settings_in_one_sentence(corpora: dict[str, Corpus], how: dict[str, Any], said: str) -> None:
    with pytest.raises(UsageError, match=said):
        loader(corpora["wordpiece"], **how)


def test_a_place_of_other_data_is_refused(corpora: dict[str, Corpus]) -> None:
    state = loader(corpora["wordpiece"]).state_dict()
    with pytest.raises(UsageError, match=r"of other data \(length was 32 and is 64\)"):
        loader(corpora["wordpiece"], length=64).load_state_dict(state)
    with pytest.raises(UsageError, match="the texts have changed"):
        loader(corpora["wordpiece"].split(0.5)[0]).load_state_dict(state)
    with pytest.raises(DataError, match="of different tokenizers"):
        loader([corpora["wordpiece"], corpora["bytes"]])
    with pytest.raises(UsageError, match="at least one document"):
        loader(corpora["wordpiece"].take(np.zeros(0, dtype=int)))


def test_the_thread_tells_what_went_wrong_and_ends() -> None:
    def broken() -> Iterator[int]:
        yield 1
        raise OSError("the disk has gone")

    ahead = Prefetch(broken(), 2)
    assert next(ahead) == 1
    for _ in range(2):
        with pytest.raises(OSError, match="the disk has gone"):
            next(ahead)
    endless = Prefetch(itertools.count(), 2)
    assert next(endless) == 0
    del endless
    gc.collect()
    deadline = time.monotonic() + 5
    while any(t.name == "prefetch" for t in threading.enumerate()) and time.monotonic() < deadline:
        time.sleep(0.02)
    assert not any(t.name == "prefetch" for t in threading.enumerate())


@pytest.mark.parametrize("how", [{"layout": "windows"}, {"layout": "packed"}, {"layout": "padded"}], ids=str)
def test_every_token_knows_its_document(corpora: dict[str, Corpus], how: dict[str, Any]) -> None:
    """Of two corpora: the numbers go on in the second; a piece's tokens stand in the document that is named."""
    corpus, second = corpora["wordpiece"], corpora["wordpiece"].take(np.arange(5, 40))
    every = [d.ids.tolist() for part in (corpus, second) for d in part.documents()]
    batches = loader([corpus, second], weights=[1.0, 1.0], documents=True, **how)
    seen: set[int] = set()
    for batch in itertools.islice(batches, 40):
        assert batch.documents is not None
        for row, start, n in batch.sequences:
            tokens = batch.tokens[row, start : start + n].tolist()
            numbers = batch.documents[row, start : start + n].tolist()
            assert numbers[0] == numbers[-1] == -1
            for number in set(numbers) - {-1}:
                part = [t for t, d in zip(tokens, numbers, strict=True) if d == number]
                whole = every[number]
                assert any(whole[i : i + len(part)] == part for i in range(len(whole) - len(part) + 1))
                seen.add(number)
    assert min(seen) < len(corpus) <= max(seen)
    assert next(loader(corpus)).documents is None
