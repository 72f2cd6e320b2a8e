"""Endpoints speak dialects: one refuses `temperature`, another `max_tokens` or the system role.

A refusal that names such a part is learned once and the request is sent again without it; every change is said. This
alters how a question is asked, never what is counted as its answer.

A schema is given up in steps: OpenAI's strict form, the same without `strict`, llama.cpp's form (`json_object` with a schema
beside it, where the refusal says that it takes `json_object`), and words alone.
"""

from __future__ import annotations

import json
from dataclasses import dataclass, field
from typing import Any

from maskfork.prompt.teachers.messages import Message, Request

_REFUSES = ("support", "unknown", "unrecognized", "unexpected", "invalid", "not allowed", "extra", "must be", "only",
            "not permitted", "deprecated", "too large", "exceed", "less than", "between", "maximum", "should be")  # fmt: skip
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
            body["response_format"] = self._form(json.loads(request.schema))
        return body

    def _form(self, schema: Any) -> dict[str, Any]:
        if "json_object" in self.learned:
            return {"type": "json_object", "schema": schema}
        return {
            "type": "json_schema",
            "json_schema": {"name": "answer", "strict": "strict" not in self.learned, "schema": schema},
        }

    def learn(self, refusal: str, param: str | None, request: Request) -> bool:
        """Take a refusal of the request itself into account. True if the request is now sent differently."""
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
            found = self._less_form(text)
        elif param == "temperature" or "temperature" in named:
            found = "temperature"
        elif "system" in named and ("role" in named or "instruction" in named or "message" in named):
            found = "system"
        if found is None or found in self.learned:
            return False
        self.learned.append(found)
        return True

    def _less_form(self, refusal: str) -> str:
        """The next step down from where the form of answers stands."""
        if "json_object" in refusal and "json_object" not in self.learned:
            return "json_object"
        return "response_format" if {"strict", "json_object"} & set(self.learned) else "strict"

    def notes(self) -> list[str]:
        said = {
            "max_tokens": "The endpoint takes max_completion_tokens in place of max_tokens.",
            "temperature": "The endpoint refuses a temperature, so its answers may vary from run to run.",
            "top_logprobs": f"The endpoint gives no more than {FEW_LOGPROBS} likely tokens.",
            "logprobs": "The endpoint gives no token probabilities.",
            "json_object": "The endpoint takes a JSON schema in llama.cpp's form (json_object) alone.",
            "response_format": "The endpoint takes no JSON schema, so the form of an answer is asked for in words alone.",
            "system": "The endpoint refuses a system message; the instruction goes before the first user message.",
        }
        given_up = {"json_object"} if "response_format" in self.learned else set()
        return [said[name] for name in self.learned if name in said and name not in given_up]


def _without_system(messages: tuple[Message, ...]) -> tuple[Message, ...]:
    system = "\n\n".join(m.content for m in messages if m.role == "system")
    rest = [m for m in messages if m.role != "system"]
    if system and rest and rest[0].role == "user":
        return (Message("user", f"{system}\n\n{rest[0].content}"), *rest[1:])
    return (Message("user", system), *rest) if system else tuple(rest)
