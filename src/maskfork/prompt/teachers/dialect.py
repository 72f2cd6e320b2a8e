"""Endpoints speak dialects: one refuses `temperature`, another `max_tokens` or the system role.

A refusal that names such a part is learned once and the request is sent again without it; every change is said. This
alters how a question is asked, never what is counted as its answer.
"""

from __future__ import annotations

import json
from dataclasses import dataclass, field
from typing import Any

from maskfork.prompt.teachers.messages import Message, Request

_REFUSES = ("support", "unknown", "unrecognized", "unexpected", "invalid", "not allowed", "extra", "must be", "only",
            "not permitted", "deprecated", "too large", "exceed", "less than", "between", "maximum")  # fmt: skip
FEW_LOGPROBS = 5


@dataclass
class Dialect:
    """What one endpoint was found to refuse."""

    learned: list[str] = field(default_factory=list)

    def body(self, model: str, request: Request) -> dict[str, Any]:
        """The JSON body of a chat completion, as this endpoint takes it."""
        messages = _without_system(request.messages) if "system" in self.learned else request.messages
        body: dict[str, Any] = {"model": model, "messages": [m._asdict() for m in messages]}
        body["max_completion_tokens" if "max_tokens" in self.learned else "max_tokens"] = request.max_tokens
        if "temperature" not in self.learned:
            body["temperature"] = request.temperature
        if request.top_logprobs and "logprobs" not in self.learned:
            few = "top_logprobs" in self.learned
            body["logprobs"] = True
            body["top_logprobs"] = min(request.top_logprobs, FEW_LOGPROBS) if few else request.top_logprobs
        if request.schema is not None and "response_format" not in self.learned:
            form = {"name": "answer", "strict": "strict" not in self.learned, "schema": json.loads(request.schema)}
            body["response_format"] = {"type": "json_schema", "json_schema": form}
        return body

    def learn(self, refusal: str, param: str | None, request: Request) -> bool:
        """Take a refusal (status 400 or 422) into account. True if the request is now sent differently."""
        text = refusal.lower()
        named = text if any(word in text for word in _REFUSES) else ""
        found = None
        if param == "max_tokens" or "max_completion_tokens" in named:
            found = "max_tokens"
        elif param in ("logprobs", "top_logprobs") or "logprobs" in named:
            many = (request.top_logprobs or 0) > FEW_LOGPROBS
            found = "top_logprobs" if many and "top_logprobs" not in self.learned else "logprobs"
            if request.top_logprobs is None:
                return False
        elif request.schema is not None and (param == "response_format" or "response_format" in named or "json_schema" in named):
            found = "response_format" if "strict" in self.learned else "strict"
        elif param == "temperature" or "temperature" in named:
            found = "temperature"
        elif "system" in named and ("role" in named or "instruction" in named or "message" in named):
            found = "system"
        if found is None or found in self.learned:
            return False
        self.learned.append(found)
        return True

    def notes(self) -> list[str]:
        said = {
            "max_tokens": "The endpoint takes max_completion_tokens in place of max_tokens.",
            "temperature": "The endpoint refuses a temperature, so its answers may vary from run to run.",
            "top_logprobs": f"The endpoint gives no more than {FEW_LOGPROBS} likely tokens.",
            "logprobs": "The endpoint gives no token probabilities.",
            "response_format": "The endpoint takes no JSON schema, so the form of an answer is asked for in words alone.",
            "system": "The endpoint refuses a system message; the instruction goes before the first user message.",
        }
        return [said[name] for name in self.learned if name in said]


def _without_system(messages: tuple[Message, ...]) -> tuple[Message, ...]:
    system = "\n\n".join(m.content for m in messages if m.role == "system")
    rest = [m for m in messages if m.role != "system"]
    if system and rest and rest[0].role == "user":
        return (Message("user", f"{system}\n\n{rest[0].content}"), *rest[1:])
    return (Message("user", system), *rest) if system else tuple(rest)
