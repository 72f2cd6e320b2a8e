"""What is not answered, and why: a status and one sentence."""

from __future__ import annotations

import math

import msgspec

#: status -> (TEI's word, OpenAI's word)
KINDS = {
    400: ("Validation", "invalid_request_error"),
    401: ("Unauthorized", "authentication_error"),
    404: ("Validation", "not_found_error"),
    405: ("Validation", "invalid_request_error"),
    408: ("Validation", "invalid_request_error"),
    413: ("Validation", "invalid_request_error"),
    422: ("Validation", "invalid_request_error"),
    429: ("Overloaded", "rate_limit_error"),
    500: ("Backend", "server_error"),
    503: ("Unhealthy", "server_error"),
}
#: status -> OpenAI's code, which its clients look at, where a status has but one cause
CODES = {401: "invalid_api_key", 429: "rate_limit_exceeded"}


class TeiError(msgspec.Struct):
    """What text-embeddings-inference says."""

    error: str
    error_type: str


class OpenAIFault(msgspec.Struct):
    message: str
    type: str
    param: str | None = None
    code: str | None = None


class OpenAIError(msgspec.Struct):
    """What OpenAI's API says."""

    error: OpenAIFault


class Refused(Exception):  # noqa: N818 (it says what happened)
    """Ends a request with `status`. `after` are seconds until it is worth asking again; `close` ends the connection too; `code`
    is OpenAI's word for the cause.
    """

    def __init__(
        self,
        status: int,
        sentence: str,
        *,
        after: float | None = None,
        close: bool = False,
        allow: str | None = None,
        code: str | None = None,
    ) -> None:
        super().__init__(sentence)
        self.status, self.sentence, self.after, self.close, self.allow = status, sentence, after, close, allow
        self.code = code or CODES.get(status)

    def said(self, openai: bool) -> TeiError | OpenAIError:
        """As the API that was asked says it."""
        tei, theirs = KINDS[self.status]
        return OpenAIError(OpenAIFault(self.sentence, theirs, code=self.code)) if openai else TeiError(self.sentence, tei)

    def headers(self) -> list[tuple[bytes, bytes]]:
        found: list[tuple[bytes, bytes]] = []
        if self.after is not None:
            found.append((b"retry-after", b"%d" % max(1, math.ceil(self.after))))
        if self.allow is not None:
            found.append((b"allow", self.allow.encode()))
        if self.status == 401:
            found.append((b"www-authenticate", b"Bearer"))
        return found


def plain(error: Exception, names: dict[str, str]) -> str:
    """An error of ours as one sentence; `names` replaces the paths of this machine by what the client calls them."""
    text = " ".join(str(error).split())
    for path, name in names.items():
        text = text.replace(path, name)
    return text
