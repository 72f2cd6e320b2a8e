"""One call over HTTP with the `openai` client, and the sentence for each way in which it can fail."""

from __future__ import annotations

import asyncio
import difflib
import os
import time
from types import TracebackType
from typing import Any
from urllib.parse import urlsplit, urlunsplit

from maskfork.errors import EndpointError
from maskfork.prompt.teachers.dialect import Dialect
from maskfork.prompt.teachers.messages import Request
from maskfork.prompt.teachers.reply import Reply, Trouble, read_completion, read_refusal

NO_KEY = "no-key"
CONNECT_SECONDS = 5.0
_RETRIED = {408, 409, 425, 429}
_INVALID = "validation error"  # how the server of llama-cpp-python refuses a request, with status 500


def shown_url(url: str, *, query: bool = False) -> str:
    """The address without (unless asked) its query, which may hold a secret."""
    parts = urlsplit(url)
    return urlunsplit((parts.scheme, parts.netloc, parts.path.rstrip("/"), parts.query if query else "", ""))


def is_local(url: str) -> bool:
    """True for this machine itself, whose servers usually ask for no key."""
    host = urlsplit(url).hostname or ""
    return host in ("localhost", "::1", "0.0.0.0") or host.startswith("127.")


def read_key(url: str, key_env: str) -> str:
    """The key out of the environment. Raises `EndpointError` where a server that is not on this machine has none."""
    key = os.environ.get(key_env, "").strip()
    if key:
        return key
    if is_local(url):
        return NO_KEY
    raise EndpointError(
        f"The endpoint {shown_url(url)} needs a key and {key_env} is not set: export {key_env}=... (any word will do "
        "if the server asks for none)."
    )


def need_client() -> None:
    """Raises `EndpointError` if the extra `llm` is not installed."""
    try:
        import openai  # noqa: F401
    except ImportError as error:
        raise EndpointError(
            "Asking an endpoint needs the openai client, which is not installed: pip install maskfork[llm]"
        ) from error


class Wire:
    """An open client. Use as `async with Wire(...) as wire: await wire.send(request)`. Makes no retries of its own."""

    def __init__(self, model: str, url: str, key: str, timeout: float, dialect: Dialect) -> None:
        self.model, self.url, self.timeout, self.dialect = model, url, timeout, dialect
        self._key = key
        self._client: Any = None

    async def __aenter__(self) -> Wire:
        import openai

        self._client = openai.AsyncOpenAI(
            api_key=self._key,
            base_url=self.url,
            max_retries=0,
            timeout=openai.Timeout(self.timeout, connect=min(CONNECT_SECONDS, self.timeout)),
        )
        return self

    async def __aexit__(self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None) -> None:
        await self._client.close()

    async def send(self, request: Request) -> Reply | Trouble:
        """Ask once, and again at once where the endpoint refused only a part of the way it was asked."""
        import openai

        while True:
            began = time.perf_counter()
            body = self.dialect.body(self.model, request)
            try:
                async with asyncio.timeout(self.timeout):
                    raw = await self._client.chat.completions.with_raw_response.create(**body)
                    latency_ms = (time.perf_counter() - began) * 1000
                    return self._scrubbed(read_completion(raw.content, latency_ms, raw.headers))
            except openai.APIStatusError as error:
                said, code, param = read_refusal(error.response.content)
                if error.status_code in (400, 422) or (error.status_code == 500 and _INVALID in said.lower()):
                    known = self.dialect.body(self.model, request) != body  # another call has learned it meanwhile
                    if known or self.dialect.learn(said, param, request):
                        continue
                return self._scrubbed(await self._refused(error.status_code, said, code, error.response.headers))
            except (openai.APITimeoutError, TimeoutError) as error:
                if type(error.__cause__).__name__ == "ConnectTimeout":
                    return Trouble("unreachable", f"no connection within {min(CONNECT_SECONDS, self.timeout):g} s")
                return Trouble("timeout", f"no answer within {self.timeout:g} s", maybe_billed=True)
            except openai.APIConnectionError as error:
                cause = error.__cause__
                reason = (str(cause) or type(cause).__name__) if cause else str(error)
                if type(cause).__name__ in ("ConnectError", "UnsupportedProtocol", "ProxyError"):
                    return self._scrubbed(Trouble("unreachable", reason))
                return self._scrubbed(Trouble("cut", f"the connection was cut ({reason})", maybe_billed=True))

    def _scrubbed(self, outcome: Reply | Trouble) -> Reply | Trouble:
        """Servers repeat the key in their error texts; it must not get into a report or a log."""
        if isinstance(outcome, Reply) or self._key == NO_KEY or self._key not in outcome.reason:
            return outcome
        reason = outcome.reason.replace(self._key, "***")
        return Trouble(outcome.kind, reason, outcome.headers, outcome.maybe_billed)

    async def _refused(self, status: int, said: str, code: str | None, headers: Any) -> Trouble:
        words = " ".join(said.split())
        reason = f"status {status}" + (f": {words[:200]}" if words else "")
        if status == 401:
            return Trouble("denied", f"it refused the key ({reason})", headers)
        if status == 402 or (status == 429 and code == "insufficient_quota"):
            return Trouble("denied", f"the account has no credit left ({reason})", headers)
        if status == 403:
            return Trouble("wrong", f"the key may not use this model or address ({reason})", headers)
        if status == 404 and "model" in f"{code} {words}".lower():
            return Trouble("wrong", f"it does not know the model {self.model!r}{await self._offer()}", headers)
        if status in (404, 405):
            return Trouble("wrong", "it takes no chat completions at this address, which usually ends in /v1", headers)
        if status == 429:
            return Trouble("rate", reason, headers)
        if status in _RETRIED or (status >= 500 and status != 501):
            return Trouble("server", reason, headers)
        return Trouble("row", reason, headers)

    async def _offer(self) -> str:
        """The names nearest to the model's that the endpoint lists; empty where it lists none."""
        import openai

        try:
            async with asyncio.timeout(5.0):
                page = await self._client.models.list()
                names = [str(m.id) for m in page.data]
        except (openai.OpenAIError, TimeoutError, AttributeError, TypeError, ValueError):
            return ""  # the list is a help only; the cause is told without it
        near = difflib.get_close_matches(self.model, names, 3, 0.3) or sorted(names)[:3]
        return f", it offers {', '.join(near)}" if near else ""
