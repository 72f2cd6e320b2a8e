"""Every route, and the document that describes them."""

from __future__ import annotations

from functools import cache
from typing import Any

from maskfork import __version__
from maskfork.deploy.serve.house import House
from maskfork.deploy.serve.http import Answer, Request
from maskfork.deploy.serve.routes import chat, completions, labels, own, ranks, root, state, tokens, vectors
from maskfork.deploy.serve.routes.document import described
from maskfork.deploy.serve.routes.route import Route, answer_of

__all__ = ["Route", "all_routes"]


async def openapi(house: House, request: Request, body: None) -> Answer:
    return answer_of(_document())


@cache
def _document() -> dict[str, Any]:
    return described(all_routes(), __version__)


@cache
def all_routes() -> list[Route]:
    """In the order of the document."""
    document = Route("GET", "/openapi.json", openapi, "This document.", None, dict[str, Any])
    parts = (root, labels, vectors, ranks, tokens, own, completions, chat, state)
    return [*(route for part in parts for route in part.ROUTES), document]
