"""Batch files: many questions handed over at once, answered within a day, usually at half the price.

An endpoint that has them takes a file of requests (`/files`), works on it (`/batches`) and gives a file of answers. A batch is
known again by a digest of its questions in its metadata, and by a list of batches beside the kept answers; so whatever kills
the run, the same call again waits for the batch that is on its way and hands none over twice.
"""

from __future__ import annotations

import hashlib
import json
import os
import time
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import msgspec

from maskfork.errors import EndpointError
from maskfork.prompt.teachers.cost import Bill, Ledger
from maskfork.prompt.teachers.dialect import Dialect
from maskfork.prompt.teachers.messages import Answer, Request
from maskfork.prompt.teachers.reply import Reply, read_completion, read_refusal

MOST_ROWS, MOST_BYTES = 50_000, 100_000_000  # OpenAI's bounds of a file: 50,000 requests and 200 MB
FIRST_WAIT, LONGEST_WAIT = 1.0, 60.0  # seconds between two looks at a batch
_OVER = ("completed", "failed", "expired", "cancelled")

Emit = Callable[[Request, Answer], None]


@dataclass
class Batches:
    """The batches of one endpoint. `key_of` names a request; `keep` puts an answer on the disk; `list_file` remembers ids."""

    name: str
    url: str
    api_key: str
    model: str
    timeout: float
    dialect: Dialect
    ledger: Ledger
    key_of: Callable[[Request], str]
    keep: Emit
    emit: Emit
    list_file: Path | None
    first_wait: float = FIRST_WAIT
    stopped: str | None = None

    def all(self, todo: Sequence[Request]) -> None:
        """Ask all, as far as the limits go. Raises `EndpointError` where the endpoint has no batch files or refuses."""
        import openai

        client = openai.OpenAI(api_key=self.api_key, base_url=self.url, timeout=self.timeout, max_retries=5)
        wanted = {self.key_of(request): request for request in todo}
        try:
            for known in self._open():
                self._take(client, client.batches.retrieve(known), wanted)
            left = self._affordable(list(wanted.values()))
            for part in self._parts(left):
                self._take(client, self._hand_over(client, part), wanted)
        except openai.OpenAIError as error:
            words = " ".join(str(error).replace(self.api_key, "***").split())[:200]
            raise EndpointError(
                f"The endpoint {self.name} could not take or give a batch file ({words}); see that it has /batches, or ask "
                "without --batch."
            ) from error
        finally:
            client.close()
        for request in wanted.values():
            self.emit(request, Answer("unanswered", error=self.stopped or "the batch ended without an answer to it"))

    def _affordable(self, todo: Sequence[Request]) -> list[Request]:
        """As many as fit under the limits at their worst: a batch cannot be stopped in the middle."""
        fitting, held = [], []
        for request in todo:
            why = self.ledger.refusal(request)
            if why is not None:
                self.stopped = f"Stopped before {why}; the rows without an answer are asked when you run again with a higher one."
                break
            held.append(self.ledger.hold(request))
            fitting.append(request)
        for bill in held:
            self.ledger.release(bill)
        return fitting

    def _parts(self, todo: Sequence[Request]) -> Iterator[list[tuple[str, bytes]]]:
        """(name, line) of the requests of each file."""
        part: list[tuple[str, bytes]] = []
        size = 0
        for request in todo:
            key = self.key_of(request)
            body = self.dialect.body(self.model, request)
            line = msgspec.json.encode({"custom_id": key, "method": "POST", "url": "/v1/chat/completions", "body": body}) + b"\n"
            if part and (len(part) == MOST_ROWS or size + len(line) > MOST_BYTES):
                yield part
                part, size = [], 0
            part.append((key, line))
            size += len(line)
        if part:
            yield part

    def _hand_over(self, client: Any, part: list[tuple[str, bytes]]) -> Any:
        """The batch of these requests: one that an earlier run handed over and could not write down, or a new one."""
        digest = hashlib.sha256("".join(sorted(key for key, _ in part)).encode()).hexdigest()[:48]
        for batch in client.batches.list(limit=100):
            if (batch.metadata or {}).get("maskfork") == digest and batch.status not in ("failed", "cancelled", "expired"):
                self._remember(batch.id)
                return batch
        file = client.files.create(file=("maskfork.jsonl", b"".join(line for _, line in part)), purpose="batch")
        batch = client.batches.create(
            input_file_id=file.id, endpoint="/v1/chat/completions", completion_window="24h", metadata={"maskfork": digest}
        )
        self._remember(batch.id)
        return batch

    def _take(self, client: Any, batch: Any, wanted: dict[str, Request]) -> None:
        """Wait for a batch and take its answers out of `wanted`."""
        wait = self.first_wait
        while batch.status not in _OVER:
            time.sleep(wait)
            wait = min(LONGEST_WAIT, 1.5 * wait)
            batch = client.batches.retrieve(batch.id)
        for file in (batch.output_file_id, batch.error_file_id):
            if file is not None:
                for line in client.files.content(file).content.splitlines():
                    if line.strip():
                        self._line(line, wanted)
        if batch.status == "failed":
            said = "; ".join(str(e.message) for e in (batch.errors.data or [])) if batch.errors else "it does not say why"
            self._forget(batch.id)
            raise EndpointError(f"The endpoint {self.name} refused the batch {batch.id} ({said[:200]}): ask without --batch.")
        if batch.status != "completed":
            self.stopped = f"The batch {batch.id} is {batch.status}; what it had answered is kept, run again for the rest."
        self._forget(batch.id)

    def _line(self, line: bytes, wanted: dict[str, Request]) -> None:
        said = msgspec.json.decode(line)
        request = wanted.pop(str(said.get("custom_id")), None)
        if request is None:
            return  # of another call's rows, or answered already
        response, held = said.get("response") or {}, self.ledger.hold(request)
        if said.get("error") or response.get("status_code") != 200:
            self.ledger.release(held)
            words, _, _ = read_refusal(msgspec.json.encode(said.get("error") or response.get("body") or {}))
            reason = f"status {response.get('status_code')}: {words}" if response else words or "no answer"
            self.emit(request, Answer("failed", error=" ".join(reason.split())[:200], attempts=1))
            return
        self._answered(request, held, read_completion(msgspec.json.encode(response["body"]), 0.0, {}))

    def _answered(self, request: Request, held: Bill, reply: Any) -> None:
        if not isinstance(reply, Reply):
            self.ledger.lose(held)
            self.emit(request, Answer("failed", error=reply.reason, attempts=1))
            return
        self.ledger.settle(request, held, reply.usage)
        answer = Answer("ok", reply.text, None, reply.usage, None, reply.finish, reply.tokens, attempts=1)
        self.keep(request, answer)
        self.emit(request, answer)

    def _open(self) -> list[str]:
        """Ids of batches that were handed over and not taken yet."""
        if self.list_file is None or not self.list_file.is_file():
            return []
        return list(dict.fromkeys(json.loads(self.list_file.read_text("utf-8"))))

    def _remember(self, batch: str) -> None:
        self._write([*self._open(), batch])

    def _forget(self, batch: str) -> None:
        self._write([one for one in self._open() if one != batch])

    def _write(self, ids: list[str]) -> None:
        if self.list_file is not None:
            beside = self.list_file.with_name(f".{self.list_file.name}.part")
            beside.write_text(json.dumps(ids), "utf-8")
            os.replace(beside, self.list_file)
