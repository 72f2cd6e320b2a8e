"""Batches of a corpus for pre-training: the same ones for the same seed, and from any of them on.

windows   [B, S]   the documents one after the other, cut every S tokens     GPT-2, nanoGPT, RoBERTa's full sentences
packed    [1, T]   several sequences a row, none sees another                BERT, T5, any model with `Segments`
padded    [N, L]   one sequence a row, like lengths together                 short texts
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import Any, Literal

from maskfork.core.batch import Batch
from maskfork.errors import DataError, UsageError
from maskfork.learn.data.corpus.around import Around
from maskfork.learn.data.corpus.corpus import Corpus
from maskfork.learn.data.corpus.feed import Feed
from maskfork.learn.data.corpus.fill import Filler
from maskfork.learn.data.corpus.order import POOL, Order
from maskfork.learn.data.corpus.plans import Packed, Padded, Planner, RandomWindows, Row, Windows
from maskfork.learn.data.corpus.prefetch import Prefetch
from maskfork.learn.data.corpus.stream import Stream

Layout = Literal["windows", "packed", "padded"]
Drawing = Literal["shuffled", "stored", "random"]


class Loader:
    """An endless iterator of batches (of `epochs` where given), with a place that is plain data.

    `corpora`: one, or several with `weights` (shares of tokens, any sum). `length`: tokens of a sequence at most, special ones
    included; `tokens`: of a batch, a multiple of it. `around`: special tokens, by default those of the tokenizer's own kind.

    `order`: "shuffled" every epoch anew; "stored"; or "random", where windows begin anywhere and nothing is remembered.
    `whole`: packed rows get no beginning of a text whose rest follows elsewhere, unless it is longer than `length`; rows then
    have some padding. `flat` False gives packed batches as [B, S]. `words` numbers the words, for whole-word masking;
    `documents` the documents, for objectives that ask of several.
    `pool`: tokens that are shuffled together; larger corpora are shuffled by blocks first.

    Of `world` machines each gets the batches of its `rank`; together they get what one would. `prefetch` batches are made ahead
    in a thread. Raises UsageError where this cannot be, DataError where the corpora are of different tokenizers.
    """

    def __init__(
        self,
        corpora: Corpus | Sequence[Corpus],
        *,
        length: int,
        tokens: int,
        layout: Layout = "packed",
        weights: Sequence[float] | None = None,
        around: Around | None = None,
        order: Drawing = "shuffled",
        whole: bool = False,
        flat: bool = True,
        words: bool = False,
        documents: bool = False,
        seed: int = 0,
        epochs: int | None = None,
        rank: int = 0,
        world: int = 1,
        prefetch: int = 4,
        pool: int = POOL,
    ) -> None:
        corpora = [corpora] if isinstance(corpora, Corpus) else list(corpora)
        shares = [1.0] * len(corpora) if weights is None else [float(weight) for weight in weights]
        _check(corpora, shares, length, tokens, layout, order, epochs, rank, world)
        self.around = Around.of(corpora[0].tokenizer) if around is None else around
        extra = len(self.around.begin) + len(self.around.end)
        room = length - extra
        if room < 1:
            raise UsageError(f"{extra} special tokens leave no room in a sequence of {length}: raise the length")
        streams = [Stream(corpus, self.around) for corpus in corpora]
        shortest = min(stream.total for stream in streams)
        if layout == "windows" and order != "stored" and shortest < room:
            raise UsageError(f"{shortest:,} tokens do not fill a window of {room}: give more text, or a shorter length")
        ranking: Literal["shuffled", "stored"] = "stored" if order == "stored" else "shuffled"
        feeds = [
            Feed(stream, Order(stream, room, layout == "windows", ranking, seed + number, pool), weight)
            for number, (stream, weight) in enumerate(zip(streams, shares, strict=True))
        ]
        self._planner = _planner(layout, order, whole, (feeds, tokens // length, room, extra, epochs, seed))
        pad = corpora[0].tokenizer.special("pad")
        self._filler = Filler(streams, self.around, 0 if pad is None else pad, words, documents)
        self.layout, self.length, self.rows, self.flat = layout, length, tokens // length, flat
        self.rank, self.world, self.prefetch = rank, world, prefetch
        self._made_by = {
            "corpora": [corpus.digest for corpus in corpora], "weights": shares, "length": length, "tokens": tokens,
            "layout": layout, "around": [list(part) for part in vars(self.around).values()], "order": order, "whole": whole,
            "seed": seed, "pool": pool,
        }  # fmt: skip
        self._ahead: Prefetch[tuple[Batch, dict[str, Any]]] | None = None
        self._first: dict[str, Any] = {"place": self._planner.state(), "epoch": self._planner.epoch, "batches": 0}
        self._last = self._first

    @property
    def epoch(self) -> int:
        """Of the last batch, from 0."""
        return int(self._last["epoch"])

    def __iter__(self) -> Iterator[Batch]:
        return self

    def __next__(self) -> Batch:
        if self._ahead is None:
            made = _made(self._planner, self._filler, self)
            self._ahead = Prefetch(made, self.prefetch) if self.prefetch else made  # type: ignore[assignment]
        assert self._ahead is not None
        batch, self._last = next(self._ahead)
        return batch

    def state_dict(self) -> dict[str, Any]:
        """The place after the last batch that was given: what JSON holds."""
        return {"made_by": self._made_by, **self._last}

    def load_state_dict(self, state: dict[str, Any], /) -> None:
        """Go on with the very batch that followed. Raises UsageError where the state is of other data or settings."""
        for name, value in self._made_by.items():
            if state["made_by"].get(name) != value:
                was = "" if name == "corpora" else f" was {state['made_by'].get(name)} and is {value}"
                what = "the texts have changed" if name == "corpora" else f"{name}{was}"
                raise UsageError(
                    f"this place is of other data ({what}): resume with the same corpora and settings, "
                    "or start anew in another folder"
                )
        self.close()
        self._planner.load(state["place"])
        self._last = {name: state[name] for name in ("place", "epoch", "batches")}

    def rewind(self) -> None:
        """Begin again with the first batch."""
        self.load_state_dict({"made_by": self._made_by, **self._first})

    def close(self) -> None:
        """End the thread; the next batch is the one after the last that was given."""
        if isinstance(self._ahead, Prefetch):
            self._ahead.close()
        self._ahead = None
        self._planner.load(self._last["place"])


def _made(planner: Planner, filler: Filler, loader: Loader) -> Iterator[tuple[Batch, dict[str, Any]]]:
    """Batches with the place after each. Holds no reference to the loader, so that it can go."""
    layout, length, rows, flat, rank, world = loader.layout, loader.length, loader.rows, loader.flat, loader.rank, loader.world
    batches = int(loader._last["batches"])
    del loader

    def made() -> Iterator[tuple[Batch, dict[str, Any]]]:
        nonlocal batches
        while True:
            plans: list[list[Row]] = [planner.plan() for _ in range(world)]
            if not plans[rank]:
                return
            if layout == "packed":
                batch = filler.packed(plans[rank], length, flat, rows)
            else:
                batch = filler.padded(plans[rank], length if layout == "windows" else None)
            batches += 1
            yield batch, {"place": planner.state(), "epoch": planner.epoch, "batches": batches}

    return made()


def _planner(layout: Layout, order: Drawing, whole: bool, given: tuple[Any, ...]) -> Planner:
    if order == "random":
        return RandomWindows(*given)
    if layout == "windows":
        return Windows(*given)
    if layout == "padded":
        return Padded(*given, sort=order == "shuffled")
    return Packed(*given, whole=whole)


def _check(
    corpora: Sequence[Corpus], weights: Sequence[float], length: int, tokens: int, layout: str, order: str,
    epochs: int | None, rank: int, world: int,
) -> None:  # fmt: skip
    if layout not in ("windows", "packed", "padded") or order not in ("shuffled", "stored", "random"):
        raise UsageError(
            f"there is no layout {layout!r} with the order {order!r}: windows, packed or padded; shuffled, stored or random"
        )
    if order == "random" and layout != "windows":
        raise UsageError("random beginnings are for windows: choose order='shuffled', or layout='windows'")
    if not corpora or any(not len(corpus) for corpus in corpora):
        raise UsageError("a loader needs a corpus with at least one document")
    if len(weights) != len(corpora) or not all(weight > 0 for weight in weights):
        raise UsageError(f"{len(corpora)} corpora need as many weights above 0, not {list(weights)}")
    if length < 1 or tokens < length or tokens % length:
        near = max(tokens // max(length, 1), 1) * max(length, 1)
        raise UsageError(f"a batch of {tokens} tokens is no multiple of the length {length}: choose {near}")
    if epochs is not None and (epochs < 1 or len(corpora) > 1 or order == "random"):
        raise UsageError(
            "epochs are counted of one corpus, from 1 on, in shuffled or stored order: leave them out for an endless row"
        )
    if not 0 <= rank < world:
        raise UsageError(f"rank {rank} is not one of {world}: from 0 to {world - 1}")
    if len({corpus.index["tokenizer"] for corpus in corpora}) > 1:
        raise DataError("these corpora are of different tokenizers: build them with one")
