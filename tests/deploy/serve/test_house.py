"""An overload or a swap loses nothing that was accepted."""

from __future__ import annotations

import asyncio

import httpx
import numpy as np

from maskfork.deploy.serve.app import App
from maskfork.deploy.serve.house import House
from maskfork.deploy.serve.limits import Limits
from tests.deploy.serve.serving import Slow, talk


def test_overload_is_429_and_what_was_accepted_is_right() -> None:
    slow = Slow()
    app = App(House([slow], Limits(queue=8)))

    async def work(client: httpx.AsyncClient) -> list[httpx.Response]:
        asked = [asyncio.ensure_future(client.post("/ask", json={"rows": [{"text": f"text {i}"}]})) for i in range(40)]
        await asyncio.sleep(0.05)
        slow.go.set()
        return list(await asyncio.gather(*asked))

    said = talk(app, work)
    right = [one for one in said if one.status_code == 200]
    assert {one.status_code for one in said} <= {200, 429}
    assert right
    for i, one in enumerate(said):
        if one.status_code == 200:
            assert one.json() == [{"text": f"text {i}", "tokens_lost": 0}]
        else:
            assert int(one.headers["retry-after"]) >= 1
            assert one.json()["error_type"] == "Overloaded"


def test_a_swap_loses_no_request() -> None:
    before, after = Slow(), Slow()
    house = House([before], Limits())
    app = App(house)

    async def work(client: httpx.AsyncClient) -> list[httpx.Response]:
        old = [asyncio.ensure_future(client.post("/embed", json={"inputs": f"old {i}"})) for i in range(5)]
        while house.batchers["slow"].waiting < 5:
            await asyncio.sleep(0.001)
        house.put(after)
        new = [asyncio.ensure_future(client.post("/tokenize", json={"inputs": "x"}))]
        new += [asyncio.ensure_future(client.post("/ask", json={"rows": [{"text": "new"}]}))]
        after.go.set()
        await asyncio.sleep(0.02)
        before.go.set()
        return list(await asyncio.gather(*old, *new))

    before.answer_as = lambda how, items: [before.go.wait(20), *(np.ones(2) for _ in items)][1:]  # type: ignore[method-assign]
    said = talk(app, work)
    assert [one.status_code for one in said] == [200] * 5 + [404, 200]
