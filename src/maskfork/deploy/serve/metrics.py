"""What Prometheus is told."""

from __future__ import annotations

from collections.abc import Callable, Sequence

from prometheus_client import CollectorRegistry, Counter, Gauge, Histogram, generate_latest

from maskfork.deploy.serve.job import Item

SECONDS = (0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1, 2.5, 5, 10, 30, 60)
TOKENS = tuple(2**n for n in range(3, 15))


class Metrics:
    """Of one server; the names are as Prometheus asks for: units in them, totals as counters."""

    def __init__(self) -> None:
        self.registry = CollectorRegistry()
        own = {"registry": self.registry, "namespace": "maskfork"}
        self.requests = Counter("requests", "Requests by route and status.", ["route", "status"], **own)  # type: ignore[arg-type]
        self.seconds = Histogram("request_seconds", "From a request's head to its last byte.", ["route"], buckets=SECONDS, **own)  # type: ignore[arg-type]
        self.texts = Counter("texts", "Texts that were answered.", ["model"], **own)  # type: ignore[arg-type]
        self.tokens = Counter("tokens", "Tokens read and written.", ["model", "direction"], **own)  # type: ignore[arg-type]
        self.truncated = Counter("truncated_texts", "Texts that were longer than the model reads.", ["model"], **own)  # type: ignore[arg-type]
        self.queue = Gauge("waiting_texts", "Texts that are accepted and not answered.", ["model"], **own)  # type: ignore[arg-type]
        self.waited = Histogram("queue_seconds", "From a request to its first pass.", ["model"], buckets=SECONDS, **own)  # type: ignore[arg-type]
        self.batch = Histogram("batch_tokens", "Tokens of a pass.", ["model"], buckets=TOKENS, **own)  # type: ignore[arg-type]
        self.batch_texts = Histogram("batch_texts", "Texts of a pass.", ["model"], buckets=TOKENS[:10], **own)  # type: ignore[arg-type]
        self.compute = Histogram("batch_seconds", "Seconds of a pass.", ["model"], buckets=SECONDS, **own)  # type: ignore[arg-type]
        self.gone = Counter("dropped_requests", "Requests whose client went away.", ["model"], **own)  # type: ignore[arg-type]

    def seen(self, model: str) -> Callable[[Sequence[Item], float], None]:
        """What a batcher calls after every pass."""
        batch, texts, compute = self.batch.labels(model), self.batch_texts.labels(model), self.compute.labels(model)
        read, answered, cut = self.tokens.labels(model, "in"), self.texts.labels(model), self.truncated.labels(model)

        def seen(items: Sequence[Item], seconds: float) -> None:
            tokens = sum(item.tokens for item in items)
            batch.observe(tokens)
            texts.observe(len(items))
            compute.observe(seconds)
            read.inc(tokens)
            answered.inc(len(items))
            cut.inc(sum(1 for item in items if item.lost))

        return seen

    def text(self) -> bytes:
        return bytes(generate_latest(self.registry))
