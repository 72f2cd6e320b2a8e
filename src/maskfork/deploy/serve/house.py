"""The models of one server, by their names."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Hashable, Mapping, Sequence
from typing import Any

from maskfork.deploy.serve.batcher import Batcher
from maskfork.deploy.serve.http import Gone, Request
from maskfork.deploy.serve.job import Done
from maskfork.deploy.serve.limits import Limits
from maskfork.deploy.serve.metrics import Metrics
from maskfork.deploy.serve.refused import Refused
from maskfork.deploy.serve.served.served import Kind, Served

PAUSE_S = 0.02  # before a refusal is told: clients that ask again at once would take the time of those that are answered
END_S = 5.0  # for a model's thread, which has nothing to do any more


class House:
    """`limits` hold for every model; `draining`: no further request is wanted."""

    def __init__(self, models: Sequence[Served], limits: Limits) -> None:
        self.limits, self.metrics, self.draining = limits, Metrics(), False
        self.batchers: dict[str, Batcher] = {}
        for served in models:
            self.put(served)

    def put(self, served: Served) -> None:
        """Add a model, or let one of its name give way: it answers what it has accepted, what comes now is the new one's."""
        before = self.batchers.get(served.name)
        waiting = self.metrics.queue.labels(served.name)
        self.batchers[served.name] = Batcher(served, self.limits, self.metrics.seen(served), waiting.inc)
        if before is not None:
            before.close()

    @property
    def ready(self) -> bool:
        return not self.draining and not any(batcher.closed for batcher in self.batchers.values())

    def named(self, name: str | None, job: str, fits: Callable[[Served], bool]) -> Batcher:
        """The model of this name, else the first that can do the job. Raises Refused."""
        if name is not None and name not in self.batchers and len(self.batchers) > 1:
            raise self.no_model(name)
        chosen = [self.batchers[name]] if name in self.batchers else list(self.batchers.values())
        found = next((batcher for batcher in chosen if fits(batcher.served)), None)
        if found is None:
            have = ", ".join(f"{b.served.name} ({b.served.kind})" for b in chosen)
            raise Refused(404, f"no model here {job}: there is {have}", code="model_not_found")
        return found

    def no_model(self, name: str) -> Refused:
        return Refused(404, f"there is no model {name!r} here: there is {', '.join(self.batchers)}", code="model_not_found")

    def of_kind(self, name: str | None, job: str, *kinds: Kind) -> Batcher:
        return self.named(name, job, lambda served: served.kind in kinds)

    def full(self, kinds: Sequence[Kind], size: int) -> Refused | None:
        """Why a request of so many bytes would be refused whichever model of these kinds it is for; None where it may not be."""
        found = None
        for batcher in self.batchers.values():
            if batcher.served.kind in kinds:
                found = batcher.gate.full(size)
                if found is None:
                    return None
        return found

    def count(self, texts: Sequence[Any]) -> None:
        """Raises Refused (422, 413) for no text, or for more than a request may have."""
        if not texts:
            raise Refused(422, "the request holds no text: give at least one")
        if len(texts) > self.limits.texts:
            raise Refused(413, f"the request has {len(texts)} texts, and {self.limits.texts} is the most at once: send fewer")

    async def ask(
        self, request: Request, batcher: Batcher, rows: Sequence[Mapping[str, Any]], how: Hashable, *, truncate: bool = True
    ) -> Done:
        """Answers of these rows. Raises Refused, Gone."""
        self.count(rows)
        name = batcher.served.name
        try:
            job = batcher.ask(rows, how, truncate=truncate)
        except Refused:
            await asyncio.sleep(PAUSE_S)
            raise
        request.note |= {"model": name, "texts": len(rows)}
        try:
            done = await request.unless_gone(job.future)
        except Gone:
            job.gone = True
            self.metrics.gone.labels(name).inc()
            raise
        self.metrics.waited.labels(name).observe(done.waited_ms / 1000)
        request.note |= {"tokens": sum(done.tokens), "waited_ms": round(done.waited_ms, 2)}
        return done

    def close(self) -> None:
        """At the very end, when all that was accepted is answered."""
        for batcher in self.batchers.values():
            batcher.close()
        for batcher in self.batchers.values():
            batcher.join(END_S)
