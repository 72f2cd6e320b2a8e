"""TEI's route `/`: what the first model is for."""

from __future__ import annotations

from typing import Any

import msgspec

from maskfork.deploy.serve.house import House
from maskfork.deploy.serve.http import Answer, Request
from maskfork.deploy.serve.refused import Refused
from maskfork.deploy.serve.routes import labels, ranks, vectors
from maskfork.deploy.serve.routes.route import Route
from maskfork.deploy.serve.served import KINDS, Kind

#: what `/` means by the kind of the model that is asked
MEANS: dict[Kind, Route] = {"classifier": labels.ROUTES[0], "embedding": vectors.ROUTES[0], "reranker": ranks.ROUTES[0]}


class Named(msgspec.Struct):
    """A body of `/` whose shape is not known yet."""

    model: str | None = None


_named = msgspec.json.Decoder(Named)


async def root(house: House, request: Request, body: msgspec.Raw) -> Answer:
    name = request.json(bytes(body), _named).model
    served = house.named(name, "answers here", lambda served: True).served
    if served.kind not in MEANS:
        raise Refused(404, f"{served.name} ({served.kind}) does not answer here: /openapi.json lists what there is")
    route = MEANS[served.kind]
    assert route.decoder is not None
    return await route.run(house, request, request.json(bytes(body), route.decoder))


def _types(name: str) -> tuple[Any, ...]:
    found = [getattr(route, name) for route in MEANS.values()]
    return tuple(one for kind in found for one in (kind if isinstance(kind, tuple) else (kind,)))


ROUTES = [
    Route("POST", "/", root, "Labels, vectors or relevance, whatever the model is for.", _types("body"), _types("gives"),
          asks=KINDS),
]  # fmt: skip
