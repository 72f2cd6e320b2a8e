"""Labels of texts and pairs: TEI's /predict."""

from __future__ import annotations

from typing import Any

import msgspec

from maskfork.deploy.serve.batcher import Batcher
from maskfork.deploy.serve.house import House
from maskfork.deploy.serve.http import Answer, Request
from maskfork.deploy.serve.job import Done
from maskfork.deploy.serve.refused import Refused
from maskfork.deploy.serve.routes.asked import Direction, last, refuse_cut
from maskfork.deploy.serve.routes.route import Route, answer_of, headers_of
from maskfork.deploy.serve.served import Kind, Labels, Relevance


class PredictBody(msgspec.Struct):
    """`inputs`: a string, a pair [string, string], or a batch [[string], [string, string], ...]."""

    inputs: str | list[str | list[str]]
    truncate: bool | None = True
    truncation_direction: Direction = "right"
    raw_scores: bool = False
    model: str | None = None


class Prediction(msgspec.Struct, omit_defaults=True):
    """`holds`: of a model that gives several labels, whether the score reaches this label's threshold."""

    score: float
    label: str
    holds: bool | None = None
    tokens_lost: int = 0


def sequences(inputs: str | list[str | list[str]]) -> tuple[list[list[str]], bool]:
    """The texts and pairs, and whether they are a batch, by TEI's own rules. Raises Refused (422)."""
    if isinstance(inputs, str):
        return [[inputs]], False
    if not inputs:
        raise Refused(422, "inputs is empty: give a string, a pair of strings, or a batch [[string], [string, string], ...]")
    first = isinstance(inputs[0], str)
    if any(isinstance(one, str) != first for one in inputs):
        raise Refused(422, "inputs mixes strings and lists: in a batch each text is a list, [[string], [string, string], ...]")
    found = [[one for one in inputs if isinstance(one, str)]] if first else [one for one in inputs if not isinstance(one, str)]
    wrong = next((one for one in found if len(one) not in (1, 2)), None)
    if wrong is not None:
        cure = "; a batch of texts is [[string], [string], ...]" if first else ""
        raise Refused(422, f"inputs has a sequence of {len(wrong)} strings: one is a text and two are a pair{cure}")
    return found, not first


async def predict(house: House, request: Request, body: PredictBody) -> Answer:
    asked, batch = sequences(body.inputs)
    batcher = house.of_kind(body.model, "classifies", *_kinds(house, body.model))
    if batcher.served.kind == "reranker":
        return await _scored(house, request, body, batcher, asked, batch=batch)
    rows = [{"text": one[0], "pair": one[1]} if len(one) == 2 else {"text": one[0]} for one in asked]
    how, truncate = Labels(last(body.truncation_direction)), body.truncate is not False
    done = await house.ask(request, batcher, rows, how, truncate=truncate)
    lost = [said.get("tokens_lost", own) for (said, _, _), own in zip(done.answers, done.lost, strict=True)]
    if not truncate:
        refuse_cut(lost)
    found = _predictions(batcher.served, done, lost, raw=body.raw_scores)
    made = answer_of(found if batch else found[0])
    made.headers += headers_of(done.tokens, lost)
    return made


def _kinds(house: House, name: str | None) -> tuple[Kind, ...]:
    """A reranker is a classifier of one label, to TEI too; where nobody is named it is asked if there is no other."""
    others = any(batcher.served.kind == "classifier" for batcher in house.batchers.values())
    return ("classifier",) if name is None and others else ("classifier", "reranker")


async def _scored(
    house: House, request: Request, body: PredictBody, batcher: Batcher, asked: list[list[str]], *, batch: bool
) -> Answer:
    if any(len(one) != 2 for one in asked):
        raise Refused(422, f"{batcher.served.name} scores pairs, and a single text is none: give [query, text]")
    rows = [{"query": query, "document": text} for query, text in asked]
    how = Relevance(body.raw_scores, last(body.truncation_direction))
    done = await house.ask(request, batcher, rows, how, truncate=body.truncate is not False)
    found = [[Prediction(score, "LABEL_0", None, lost)] for score, lost in zip(done.answers, done.lost, strict=True)]
    return answer_of(found if batch else found[0], done)


def _predictions(served: Any, done: Done, lost: list[int], *, raw: bool) -> list[list[Prediction]]:
    """Likeliest first."""
    names, several = served.label_names, served.problem == "multi"
    raw = raw or served.problem == "regression"
    found = []
    for (said, probs, logits), n in zip(done.answers, lost, strict=True):
        scores = [float(f"{value:.7g}") for value in (logits if raw else probs)]
        order = sorted(range(len(names)), key=scores.__getitem__, reverse=True)
        held = set(said["labels"]) if several else None
        found.append([Prediction(scores[i], names[i], None if held is None else names[i] in held, n) for i in order])
    return found


ROUTES = [
    Route("POST", "/predict", predict, "Labels of a text, a pair or a batch, likeliest first.", PredictBody,
          (list[Prediction], list[list[Prediction]]), asks=("classifier", "reranker")),
]  # fmt: skip
