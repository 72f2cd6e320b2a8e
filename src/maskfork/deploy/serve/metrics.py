"""What Prometheus is told."""

from __future__ import annotations

import os
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from functools import partial

from prometheus_client import CollectorRegistry, Counter, Gauge, Histogram, generate_latest
from prometheus_client.multiprocess import MultiProcessCollector

from maskfork.deploy.serve.job import Item
from maskfork.deploy.serve.served.served import Served

NAMESPACE = "maskfork"
SECONDS = (0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1, 2.5, 5, 10, 30, 60)
TOKENS = tuple(2**n for n in range(3, 15))


@dataclass(frozen=True)
class Counted:
    """What is counted of texts that a model writes."""

    waiting: Gauge
    tokens: Counter
    texts: Counter
    gone: Counter


class Metrics:
    """Of one server; the names are as Prometheus asks for: units in them, totals as counters.

    Where $PROMETHEUS_MULTIPROC_DIR is set (`--workers`) every process writes its figures there, and each says all of them.
    """

    def __init__(self) -> None:
        self.registry = CollectorRegistry()
        self._routes: dict[tuple[str, int], tuple[Counter, Histogram]] = {}
        counter = partial(Counter, namespace=NAMESPACE, registry=self.registry)
        histogram = partial(Histogram, namespace=NAMESPACE, registry=self.registry)
        self.requests = counter("requests", "Requests by route and status.", ["route", "status"])
        self.seconds = histogram("request_seconds", "From a request's head to its last byte.", ["route"], buckets=SECONDS)
        self.texts = counter("texts", "Texts that were answered.", ["model"])
        self.tokens = counter("tokens", "Tokens read and written.", ["model", "direction"])
        self.padding = counter("padding_tokens", "Tokens of padding that were computed.", ["model"])
        self.truncated = counter("truncated_texts", "Texts that were longer than the model reads.", ["model"])
        self.queue = Gauge(
            "waiting_texts", "Texts that are accepted and not answered.", ["model"], namespace=NAMESPACE, registry=self.registry,
            multiprocess_mode="livesum",
        )  # fmt: skip
        self.waited = histogram("queue_seconds", "From a request to its first pass.", ["model"], buckets=SECONDS)
        self.batch = histogram("batch_tokens", "Tokens of a pass.", ["model"], buckets=TOKENS)
        self.batch_texts = histogram("batch_texts", "Texts of a pass.", ["model"], buckets=TOKENS[:10])
        self.compute = histogram("batch_seconds", "Seconds of a pass.", ["model"], buckets=SECONDS)
        self.gone = counter("dropped_requests", "Requests whose client went away.", ["model"])

    def answered(self, route: str, status: int, seconds: float) -> None:
        """After every request."""
        known = self._routes.get((route, status))
        if known is None:
            known = self._routes[route, status] = (self.requests.labels(route, str(status)), self.seconds.labels(route))
        known[0].inc()
        known[1].observe(seconds)

    def seen(self, served: Served) -> Callable[[Sequence[Item], float], None]:
        """What a batcher calls after every pass."""
        name = served.name
        batch, texts, compute = self.batch.labels(name), self.batch_texts.labels(name), self.compute.labels(name)
        read, answered, cut = self.tokens.labels(name, "in"), self.texts.labels(name), self.truncated.labels(name)
        padding, before = self.padding.labels(name), 0

        def seen(items: Sequence[Item], seconds: float) -> None:
            nonlocal before
            tokens = sum(item.tokens for item in items)
            batch.observe(tokens)
            texts.observe(len(items))
            compute.observe(seconds)
            read.inc(tokens)
            answered.inc(len(items))
            cut.inc(sum(1 for item in items if item.lost))
            padding.inc(served.padding - before)
            before = served.padding

        return seen

    def written(self, name: str) -> Counted:
        """Of the model of this name."""
        return Counted(self.queue.labels(name), self.tokens.labels(name, "out"), self.texts.labels(name), self.gone.labels(name))

    def text(self) -> bytes:
        if "PROMETHEUS_MULTIPROC_DIR" not in os.environ:
            return bytes(generate_latest(self.registry))
        everybody = CollectorRegistry()
        MultiProcessCollector(everybody)  # type: ignore[no-untyped-call]
        return bytes(generate_latest(everybody))
