"""Which contenders run, from what a user names: encoders, decoders, endpoints, and the floors beside them."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field
from pathlib import Path

from maskfork.decide.compare.bases import check_decoder, check_encoder
from maskfork.decide.compare.contender import Contender, HeldOut
from maskfork.decide.compare.contenders.endpoint import EndpointContender, Terms
from maskfork.decide.compare.contenders.finetune import FineTuneContender
from maskfork.decide.compare.contenders.probe import ProbeContender
from maskfork.decide.compare.contenders.prompted import Decoders, PromptedContender
from maskfork.decide.compare.contenders.tfidf import TfidfContender
from maskfork.decide.compare.plan import make_plan
from maskfork.decide.compare.settings import CompareSettings
from maskfork.errors import UsageError
from maskfork.learn.data.dataset import Dataset
from maskfork.learn.train.settings import FineTuneSettings
from maskfork.prompt.tasks import TaskDescription


@dataclass(frozen=True)
class Lineup:
    """encoders, decoders: folders or Hub ids. endpoints: with their prices. max_shots: examples in one prompt.

    label_words: (label, what stands for it in a prompt), for labels that say nothing, such as 0 and 1. task: how decoders are
    asked, where a description says so.
    """

    encoders: tuple[str, ...] = ()
    decoders: tuple[str, ...] = ()
    endpoints: tuple[Terms, ...] = ()
    training: FineTuneSettings = field(default_factory=FineTuneSettings)
    max_shots: int = 32
    label_words: tuple[tuple[str, str], ...] = ()
    task: TaskDescription | None = None
    finetune: bool = True
    probe: bool = True
    tfidf: bool = True
    calibrated: bool = True


def line_up(lineup: Lineup, out: Path) -> list[Contender]:
    """The contenders in the order of the report. Raises UsageError where nothing is left to compare, and what a model raises that
    is not there or cannot take part: no row has been read yet, and they may be many.
    """
    found: list[Contender] = []
    weight, longest = lineup.training.class_weight, lineup.training.max_length
    for base in dict.fromkeys(lineup.encoders):
        check_encoder(base)
        if lineup.finetune:
            found.append(FineTuneContender(base, lineup.training))
        if lineup.probe:
            found.append(ProbeContender(base, weight, longest))
    if lineup.tfidf:
        found.append(TfidfContender(weight))
    decoders, words = Decoders(), dict(lineup.label_words)
    for base in dict.fromkeys(lineup.decoders):
        check_decoder(base)
        for calibrate in (False, True) if lineup.calibrated else (False,):
            asked = dict(calibrate=calibrate, max_shots=lineup.max_shots, label_words=words, task=lineup.task)
            found.append(PromptedContender(base, decoders, **asked))  # type: ignore[arg-type]
    for terms in dict.fromkeys(lineup.endpoints):
        answers = out / "answers"
        found.append(EndpointContender(terms, answers=answers, max_shots=lineup.max_shots, label_words=words))
    if not found:
        raise UsageError("No contender is left: name an --encoder, a --decoder or an --llm, or leave out a --no- option.")
    return found


def previews(contenders: Sequence[Contender], dataset: Dataset, settings: CompareSettings) -> list[tuple[str, str]]:
    """(name, what it will cost) of every endpoint that is not on this machine and has questions to ask."""
    held_out = HeldOut(dataset.test.texts, dataset.test.pairs)
    found = []
    paid = [c for c in contenders if isinstance(c, EndpointContender) and not c.local]
    for contender in paid:
        plan = make_plan([contender], dataset.train, held_out, settings)
        calls, kept, tokens, cost, most = 0, 0, 0, 0.0, 0.0
        known = True
        for run in plan.runs:
            preview = contender.preview(dataset.train.take(run.rows), held_out, run.seed)
            calls, kept = calls + preview.calls, kept + preview.cached
            tokens += preview.prompt_tokens
            if preview.cost is None or preview.most_cost is None:
                known = False
            else:
                cost, most = cost + preview.cost, most + preview.most_cost
        if calls:
            price = f"about {cost:.4g}, at most {most:.4g}" if known else "not known (give --price-in and --price-out)"
            said = f"{calls:,} calls, {kept:,} answers already paid, about {tokens:,} tokens in; cost: {price}"
            found.append((contender.series, said))
    return found
