"""A model behind an OpenAI-compatible endpoint, asked zero-shot or with the labelled rows as examples."""

from __future__ import annotations

import json
import socket
import time
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit
from urllib.request import getproxies

import numpy as np
from numpy.typing import NDArray

from maskfork.decide.compare.contender import Contender, HeldOut, Kind, Outcome, Progress
from maskfork.decide.compare.contenders.prompted import Shot, check_words, examples, too_many, words_of
from maskfork.errors import EndpointError, ModelError, UsageError
from maskfork.learn.data.rows import Rows
from maskfork.prompt.teachers.classified import EndpointResult
from maskfork.prompt.teachers.classify import EndpointClassifier
from maskfork.prompt.teachers.classify import Shot as EndpointShot
from maskfork.prompt.teachers.cost import Preview
from maskfork.prompt.teachers.endpoint import Endpoint
from maskfork.prompt.teachers.wire import is_local

_LOST = 0.01  # rows without an answer after all retries that still leave a result; more, and it is run again
_FEW = 20  # calls below which a throughput is chance


@dataclass(frozen=True)
class Terms:
    """Where the model is and what it costs. Prices are per million tokens; max_cost bounds the whole comparison."""

    model: str
    url: str | None = None
    price_in: float | None = None
    price_out: float | None = None
    max_cost: float | None = None
    concurrency: int = 8

    def __post_init__(self) -> None:
        if self.url is not None and "@" in urlsplit(self.url).netloc:
            raise UsageError(
                "The endpoint's address holds a name or a password, which the report would show: put the key into "
                "OPENAI_API_KEY instead."
            )

    def endpoint(self, answers: Path | None) -> Endpoint:
        """answers: the folder that keeps every paid answer; None keeps them in memory."""
        return Endpoint(
            self.model,
            self.url,
            concurrency=self.concurrency,
            price_in=self.price_in,
            price_out=self.price_out,
            max_cost=self.max_cost,
            cache_dir=answers,
        )


class EndpointPredictor:
    """An endpoint with its task. Saved without any key: the key is read from the environment when it is used."""

    def __init__(
        self,
        terms: Terms,
        endpoint: Endpoint,
        label_names: tuple[str, ...],
        label_words: tuple[str, ...],
        shots: tuple[Shot, ...],
    ) -> None:
        self.terms = terms
        self.label_names = label_names
        self.label_words = label_words
        self.shots = shots
        told = [EndpointShot(text, label, pair) for text, pair, label in shots]
        self.classifier = EndpointClassifier(endpoint, label_words, shots=told)

    def predict(self, texts: Sequence[str], pairs: Sequence[str] | None = None) -> NDArray[np.float32]:
        """Probabilities [N, C]. Raises EndpointError where a text got no label."""
        result = self.classifier.predict(texts, pairs)
        missing = [error for error in result.errors if error is not None]
        if missing:
            raise EndpointError(f"{len(missing)} of {len(texts)} texts got no label from {self.terms.model}: {missing[0]}.")
        return result.probs.astype(np.float32)

    def save(self, folder: Path) -> None:
        """maskfork.json and endpoint.json."""
        about = {"kind": "endpoint", "labels": list(self.label_names), "base": self.terms.model}
        (folder / "maskfork.json").write_text(json.dumps(about, ensure_ascii=False, indent=1), "utf-8")
        terms = {**asdict(self.terms), "url": self.classifier.endpoint.url}
        shots = [list(shot) for shot in self.shots]
        said = {"terms": terms, "label_words": list(self.label_words), "shots": shots}
        (folder / "endpoint.json").write_text(json.dumps(said, ensure_ascii=False, indent=1), "utf-8")

    @classmethod
    def open(cls, folder: Path) -> EndpointPredictor:
        """Read what `save` wrote. Raises ModelError where a file is missing or broken."""
        try:
            labels = tuple(json.loads((folder / "maskfork.json").read_text("utf-8"))["labels"])
            said = json.loads((folder / "endpoint.json").read_text("utf-8"))
            terms = Terms(**said["terms"])
            words = tuple(said["label_words"])
            shots = tuple((str(text), pair, int(label)) for text, pair, label in said["shots"])
        except (OSError, ValueError, KeyError, TypeError) as error:
            raise ModelError(f"{folder} is not a whole endpoint model ({error}): save it again.") from error
        return cls(terms, terms.endpoint(None), labels, words, shots)


class EndpointContender(Contender):
    """terms: the endpoint. answers: folder of paid answers, made when the first question is asked."""

    def __init__(self, terms: Terms, *, answers: Path, max_shots: int = 32, label_words: Mapping[str, str] | None = None) -> None:
        self.terms = terms
        self.base = terms.model
        self.kind: Kind = "endpoint"
        self.series = f"{terms.model} via endpoint"
        self.answers = answers
        self.max_shots = max_shots
        self.label_words = dict(label_words or {})
        self._endpoint: Endpoint | None = None
        self._probe = terms.endpoint(None)  # says no to bad prices and addresses before anything is written

    def why_not(self, budget: int, train: Rows) -> str | None:
        return too_many(budget, self.max_shots)

    def check(self, train: Rows) -> None:
        """Raise EndpointError where the client or the key is missing or nobody listens at the address. Costs nothing."""
        check_words(self.label_words, train)
        self._probe.check()
        if getproxies():
            return  # the way leads through a proxy, whose answer tells nothing of the endpoint
        parts = urlsplit(self._probe.url)
        port = parts.port or (443 if parts.scheme == "https" else 80)
        try:
            socket.create_connection((parts.hostname or "", port), timeout=10).close()
        except OSError as error:
            raise EndpointError(
                f"The endpoint {self._probe.name} cannot be reached ({error.strerror or error}): start the server or "
                "correct --llm-url."
            ) from error

    def identity(self) -> Mapping[str, Any]:
        return {
            "kind": self.kind,
            "recipe": 1,
            "model": self.terms.model,
            "url": self._probe.url,
            "label_words": self.label_words,
        }

    def seconds(self, budget: int, held_out: HeldOut) -> float:
        return 1.0 * len(held_out) / self.terms.concurrency

    @property
    def local(self) -> bool:
        """Whether the address is this machine, where no bill is to be feared."""
        return is_local(self._probe.url)

    def preview(self, train: Rows, held_out: HeldOut, seed: int) -> Preview:
        """What one run would cost, without asking. train: the labelled rows of its budget."""
        kept = self.answers if self.answers.is_dir() else None
        return self._predictor(self.terms.endpoint(kept), train, seed).classifier.preview(held_out.texts, held_out.pairs)

    def run(self, train: Rows, held_out: HeldOut, *, seed: int, progress: Progress) -> Outcome:
        if self._endpoint is None:
            self._endpoint = self.terms.endpoint(self.answers)
        predictor = self._predictor(self._endpoint, train, seed)
        classifier = predictor.classifier
        calls = classifier.preview(held_out.texts, held_out.pairs).calls
        started = time.perf_counter()
        result = classifier.predict(
            held_out.texts, held_out.pairs, lambda done, rows: progress(done / rows, f"{done} of {rows} answers")
        )
        seconds = time.perf_counter() - started
        self._refuse(result, len(held_out))
        return Outcome(
            result.probs.astype(np.float32),
            predictor,
            0.0,
            None,
            result.notes,
            _usage(result, calls, seconds),
            result.answered,
        )

    def open(self, folder: Path) -> EndpointPredictor:
        return EndpointPredictor.open(folder)

    def _predictor(self, endpoint: Endpoint, train: Rows, seed: int) -> EndpointPredictor:
        words = words_of(train.label_names, self.label_words)
        return EndpointPredictor(self.terms, endpoint, train.label_names, words, examples(train, seed))

    def _refuse(self, result: EndpointResult, rows: int) -> None:
        """Raise where too few rows were answered for a figure; the answers that came are kept and not paid again."""
        stopped = self._endpoint.stopped if self._endpoint is not None else None
        if stopped is not None:
            raise EndpointError(stopped)
        if result.failed > _LOST * rows:
            reason = next(error for error in result.errors if error is not None)
            raise EndpointError(
                f"{result.failed} of {rows} rows got no answer from {self.terms.model}, the first with: {reason}; run "
                "the same command again to ask for these alone."
            )


def _usage(result: EndpointResult, calls: int, seconds: float) -> dict[str, float]:
    """Tokens, cost per million texts, latency of the calls (ms), and texts a second where enough were asked now."""
    usage = {
        "prompt_tokens": float(result.usage.prompt_tokens),
        "completion_tokens": float(result.usage.completion_tokens),
    }
    cost = result.cost_per_million_texts
    if cost is not None:
        usage["cost_per_million"] = cost
    timed = result.latencies_ms[np.isfinite(result.latencies_ms)]
    if timed.size:
        usage |= {"p50_ms": float(np.median(timed)), "p99_ms": float(np.quantile(timed, 0.99)), "timed": float(timed.size)}
    if calls >= _FEW:
        usage["throughput"] = calls / seconds
    return usage
