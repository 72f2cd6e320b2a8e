"""Every route, and the document that describes them."""

from __future__ import annotations

from functools import cache
from typing import Any

from maskfork import __version__
from maskfork.deploy.serve.house import House
from maskfork.deploy.serve.http import Answer, Request
from maskfork.deploy.serve.routes import openai, own, state, tei, writing
from maskfork.deploy.serve.routes.route import Route, answer_of

__all__ = ["Route", "all_routes"]


async def openapi(house: House, request: Request, body: None) -> Answer:
    return answer_of(state.described(all_routes(), __version__))


@cache
def all_routes() -> list[Route]:
    """In the order of the document."""
    document = Route("GET", "/openapi.json", openapi, "This document.", None, dict[str, Any])
    return [*tei.ROUTES, *own.ROUTES, *openai.ROUTES, *writing.ROUTES, *state.ROUTES, document]
