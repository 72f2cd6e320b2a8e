"""Completions and chat: the tokens of `generate`, whole and streamed, scored as the model scores them, held to a schema."""

from __future__ import annotations

import asyncio
import json
from pathlib import Path
from typing import Any

import httpx
import pytest
import torch

from maskfork import Model, generate, load
from maskfork.deploy.serve.app import App
from maskfork.deploy.serve.house import House
from maskfork.deploy.serve.limits import Limits
from maskfork.deploy.serve.served import open_served
from maskfork.deploy.serve.served.writer import ServedWriter
from maskfork.models.runtimes.writer import open_writer
from maskfork.models.runtimes.writing import WritingSettings, write_writing
from maskfork.prompt.scoring import scores_along
from tests.deploy.serve.serving import house_of, post, talk
from tests.learn.tiny import make

PROMPT = "the film with a lovely"
TEMPLATE = "{% for m in messages %}{{ m['role'] }}: {{ m['content'] }} {% endfor %}{% if add_generation_prompt %}said:{% endif %}"


@pytest.fixture(scope="module")
def house(tmp_path_factory: pytest.TempPathFactory) -> House:
    model = make("gpt2", "causal_lm")
    model.tokenizer.config["chat_template"] = TEMPLATE
    return house_of(gpt=model.save(tmp_path_factory.mktemp("writer") / "gpt"))


@pytest.fixture(scope="module")
def app(house: House) -> App:
    return App(house)


@pytest.fixture(scope="module")
def model(house: House) -> Model:
    served = house.batchers["gpt"].served
    assert isinstance(served, ServedWriter)
    return served.model


def written(model: Model, text: str, count: int, *, special: bool = True, **settings: Any) -> str:
    ids = model.tokenizer.encode(text, special=special)
    told = generate(model, torch.tensor([ids]), max_new_tokens=count, **settings)
    return model.tokenizer.decode([*ids, *told.new[0]])[len(model.tokenizer.decode(ids)) :]


def test_completions_are_generates(app: App, model: Model) -> None:
    body = {"prompt": [PROMPT, "a dull"], "max_tokens": 12, "temperature": 0}
    said = post(app, "/v1/completions", body).json()
    assert [c["text"] for c in said["choices"]] == [written(model, PROMPT, 12), written(model, "a dull", 12)]
    assert {c["finish_reason"] for c in said["choices"]} <= {"length", "stop"}
    assert said["usage"]["completion_tokens"] <= 24
    by_ids = post(app, "/v1/completions", {**body, "prompt": model.tokenizer.encode(PROMPT)}).json()
    assert by_ids["choices"][0]["text"] == said["choices"][0]["text"]
    drawn = [post(app, "/v1/completions", {"prompt": PROMPT, "max_tokens": 8, "seed": 3, "n": 2}).json() for _ in range(2)]
    assert [c["text"] for c in drawn[0]["choices"]] == [c["text"] for c in drawn[1]["choices"]]


def test_echo_and_logprobs_are_the_models(app: App, model: Model) -> None:
    """What lm-evaluation-harness asks: the prompt scored, and one token more."""
    ids = model.tokenizer.encode(PROMPT)
    said = post(app, "/v1/completions", {"prompt": [ids], "max_tokens": 1, "temperature": 0, "echo": True, "logprobs": 1}).json()
    (choice,) = said["choices"]
    found = choice["logprobs"]
    with torch.inference_mode():
        logits = model(torch.tensor([ids])).logits
    assert logits is not None
    logp = logits[0].log_softmax(-1)
    wanted = [float(logp[i, token]) for i, token in enumerate(ids[1:])]
    assert found["token_logprobs"][0] is None
    assert found["token_logprobs"][1:-1] == pytest.approx(wanted, abs=1e-4)
    assert [max(top.values()) for top in found["top_logprobs"][1:-1]] == pytest.approx(logp[:-1].amax(-1).tolist(), abs=1e-4)
    assert len(found["tokens"]) == len(ids) + 1
    assert found["token_logprobs"][-1] == pytest.approx(float(logp[-1].max()), abs=1e-4)
    assert choice["text"].startswith(PROMPT)
    only = post(app, "/v1/completions", {"prompt": PROMPT, "max_tokens": 0, "echo": True, "logprobs": 0}).json()
    assert only["choices"][0]["logprobs"]["token_logprobs"][1:] == pytest.approx(wanted, abs=1e-4)


def test_the_openai_client_writes_and_streams(app: App, model: Model) -> None:
    openai = pytest.importorskip("openai")
    messages: list[Any] = [{"role": "user", "content": [{"type": "text", "text": "a film"}]}]
    wanted = written(model, "user: a film said:", 10, special=False)

    async def work(client: httpx.AsyncClient) -> None:
        api = openai.AsyncOpenAI(api_key="none", base_url="http://here/v1", http_client=client, max_retries=0)
        asked: dict[str, Any] = {"model": "gpt", "messages": messages, "max_tokens": 10, "temperature": 0}
        whole = await api.chat.completions.create(**asked, logprobs=True, top_logprobs=2)
        assert whole.choices[0].message.content == wanted
        assert len(whole.choices[0].logprobs.content) == whole.usage.completion_tokens
        assert all(len(one.top_logprobs) == 2 for one in whole.choices[0].logprobs.content)
        pieces, usage, reasons = [], None, []
        stream = await api.chat.completions.create(**asked, stream=True, stream_options={"include_usage": True})
        async for event in stream:
            usage = event.usage or usage
            for choice in event.choices:
                pieces.append(choice.delta.content or "")
                reasons.append(choice.finish_reason)
        assert "".join(pieces) == wanted
        assert [r for r in reasons if r] == [whole.choices[0].finish_reason]
        assert usage == whole.usage
        plain = await api.completions.create(model="gpt", prompt=PROMPT, max_tokens=6, temperature=0, stream=True)
        assert "".join([event.choices[0].text async for event in plain]) == written(model, PROMPT, 6)

    talk(app, work)


def test_many_at_once_get_what_each_gets_alone(app: App, model: Model) -> None:
    prompts = [f"{'the film ' * (i % 5)}a" for i in range(12)]

    async def work(client: httpx.AsyncClient) -> list[httpx.Response]:
        return list(await asyncio.gather(*(
            client.post("/v1/completions", json={"prompt": prompt, "max_tokens": 5 + i % 4, "temperature": 0})
            for i, prompt in enumerate(prompts)
        )))  # fmt: skip

    for i, said in enumerate(talk(app, work)):
        assert said.json()["choices"][0]["text"] == written(model, prompts[i], 5 + i % 4)


def test_what_the_folder_says_writes(tmp_path: Path) -> None:
    """Texts and scores come from the native pass, and torch's weights go."""
    shape = dict(hidden_size=64, intermediate_size=128, num_attention_heads=4, num_key_value_heads=2)
    folder = make("llama", "causal_lm", **shape).save(tmp_path / "native")
    write_writing(folder, WritingSettings(engine="native", precision="int8", files={}, rows=3, threads=1))
    house = house_of(gpt=folder)
    served, app, body = house.batchers["gpt"].served, App(house), {"max_tokens": 7, "temperature": 0}
    assert isinstance(served, ServedWriter)
    assert served.notes == ("native reads its tokens, with weights in int8",)
    prompts = [PROMPT, "a dull", "the", PROMPT + " plot"]
    said = post(app, "/v1/completions", {**body, "prompt": prompts, "echo": True, "logprobs": 1}).json()["choices"]
    assert all(p.is_meta for p in served.model.parameters())
    model = open_writer(folder)
    for choice, prompt in zip(said, prompts, strict=True):
        assert choice["text"].endswith(written(model, prompt, 7))
        ids = model.tokenizer.encode(prompt)
        logp = scores_along(model, [ids])[0].log_softmax(-1)
        wanted = [float(logp[i, token]) for i, token in enumerate(ids[1:])]
        assert choice["logprobs"]["token_logprobs"][1 : len(ids)] == pytest.approx(wanted, abs=1e-5)


def test_bits_go_before_the_folder(tmp_path: Path) -> None:
    folder = make("gpt2", "causal_lm", n_embd=64, n_head=4).save(tmp_path / "plain")
    served = open_served("gpt", str(folder), bits=8)
    assert isinstance(served, ServedWriter)
    assert served.notes == ("native reads its tokens, with weights in int8",)
    said = post(App(House([served], Limits())), "/v1/completions", {"prompt": PROMPT, "max_tokens": 7, "temperature": 0}).json()
    assert said["choices"][0]["text"] == written(load(folder), PROMPT, 7, bits=8)
    assert all(p.is_meta for p in served.model.parameters())


def test_a_schema_is_kept(app: App) -> None:
    schema = {"type": "object", "properties": {"good": {"type": "boolean"}}, "required": ["good"], "additionalProperties": False}
    form = {"type": "json_schema", "json_schema": {"name": "x", "schema": schema}}
    body = {"messages": [{"role": "user", "content": "a film"}], "max_tokens": 40, "seed": 1, "response_format": form}
    said = post(app, "/v1/chat/completions", body).json()
    assert isinstance(json.loads(said["choices"][0]["message"]["content"])["good"], bool)


def test_wrong_requests(app: App, house: House) -> None:
    long = " ".join(["film"] * 2000)
    for path, body in [
        ("/v1/completions", {"prompt": []}), ("/v1/completions", {"prompt": [1, "a"]}),
        ("/v1/completions", {"prompt": [[1, "a"]]}),
        ("/v1/completions", {"prompt": [10**6]}), ("/v1/completions", {"prompt": "a", "temperature": 9}),
        ("/v1/completions", {"prompt": "a", "n": 0}), ("/v1/completions", {"prompt": "a", "logprobs": 99}),
        ("/v1/completions", {"prompt": "a", "max_tokens": 0}), ("/v1/completions", {"prompt": long}),
        ("/v1/completions", {"prompt": "a", "max_tokens": -1}), ("/v1/chat/completions", {"messages": [{"content": "a"}]}),
        ("/v1/chat/completions", {"messages": [{"role": "user", "content": [{"type": "image_url"}]}]}),
        ("/v1/chat/completions", {"messages": [], "response_format": {"type": "json_schema"}}),
        ("/ask", {"rows": [{"text": "a"}]}),
        ("/v1/completions", {"prompt": "a", "best_of": 3}), ("/v1/completions", {"prompt": "a", "suffix": "z"}),
        ("/v1/completions", {"prompt": "a", "logit_bias": {"x": 1}}),
        ("/v1/completions", {"prompt": "a", "logit_bias": {"5": 101}}),
        ("/v1/completions", {"prompt": "a", "logit_bias": {"99999999999": 1}}),
        ("/v1/chat/completions", {"messages": [{"role": "user", "content": "a"}], "tools": [{"type": "function"}]}),
    ]:  # fmt: skip
        said = post(app, path, body)
        assert said.status_code == 422, (body, said.text[:300])
        assert "Traceback" not in said.text


NULLS = ("temperature", "top_p", "n", "stream", "stop", "seed", "presence_penalty", "frequency_penalty", "logit_bias", "user")


def test_null_is_as_if_it_were_left_out(app: App) -> None:
    """As OpenAI's own clients may send it."""
    asked = {"prompt": PROMPT, "max_tokens": 4, "logit_bias": {"7": 100}}
    more = {**dict.fromkeys(NULLS), "echo": None, "best_of": None, "suffix": None, "logprobs": None, "stream_options": None}
    wanted = post(app, "/v1/completions", asked).json()["choices"]
    assert post(app, "/v1/completions", {**more, **asked}).json()["choices"] == wanted
    chat = {"messages": [{"role": "user", "content": "a film"}], "max_tokens": 4}
    more = {**dict.fromkeys(NULLS), "tools": None, "response_format": None, "logprobs": None, "top_logprobs": None}
    assert post(app, "/v1/chat/completions", {**more, **chat}).status_code == 200


def test_logit_bias_decides(app: App, model: Model) -> None:
    ids = model.tokenizer.encode(PROMPT)
    best = generate(model, torch.tensor([ids]), max_new_tokens=1).new[0][0]
    asked = {"prompt": PROMPT, "max_tokens": 5, "temperature": 0, "logprobs": 0}
    without = post(app, "/v1/completions", {**asked, "logit_bias": {str(best): -100}}).json()["choices"][0]["logprobs"]["tokens"]
    assert without[0] != model.tokenizer.decode([best])
    only = post(app, "/v1/completions", {**asked, "logit_bias": {"9": 100}}).json()["choices"][0]["logprobs"]["tokens"]
    assert only == [model.tokenizer.decode([9])] * 5


@pytest.mark.parametrize("stream", [False, True])
def test_a_fault_while_writing_is_told(stream: bool, tmp_path: Path, capfd: pytest.CaptureFixture[str]) -> None:
    """A stream that has begun says it in its last event; without that its client would wait for ever."""
    house = house_of(gpt=make("gpt2", "causal_lm").save(tmp_path / "gpt"))
    served = house.batchers["gpt"].served
    assert isinstance(served, ServedWriter)

    def fails(*_: Any) -> None:
        raise RuntimeError("planted")

    served.engine.pages.read = fails  # type: ignore[method-assign]
    sent = asyncio.run(asyncio.wait_for(_sent(App(house), {"prompt": PROMPT, "max_tokens": 3, "stream": stream}), 20))
    whole = b"".join(message.get("body", b"") for message in sent)
    said = json.loads(whole.removeprefix(b"data: "))["error"]
    assert said["type"] == "server_error"
    assert "planted" not in said["message"]
    assert b"[DONE]" not in whole
    assert sent[0]["status"] == (200 if stream else 500)
    assert "RuntimeError: planted" in capfd.readouterr().err
    assert house.metrics.registry.get_sample_value("maskfork_waiting_texts", {"model": "gpt"}) == 0


async def _sent(app: App, body: Any) -> list[Any]:
    """What the application sends to a client that stays."""
    sent: list[Any] = []
    parts = [{"type": "http.request", "body": json.dumps(body).encode()}]

    async def receive() -> Any:
        return parts.pop() if parts else await asyncio.Event().wait()

    async def send(message: Any) -> None:
        sent.append(message)

    await app({"type": "http", "method": "POST", "path": "/v1/completions", "headers": [], "client": None}, receive, send)
    return sent


def test_texts_that_are_written_are_counted(app: App, house: House) -> None:
    def count(name: str, **labels: str) -> float:
        return house.metrics.registry.get_sample_value(f"maskfork_{name}", {"model": "gpt", **labels}) or 0.0

    before = count("texts_total"), count("tokens_total", direction="out"), count("tokens_total", direction="in")
    seen: list[float] = []

    async def work(client: httpx.AsyncClient) -> httpx.Response:
        asking = asyncio.ensure_future(client.post("/v1/completions", json={"prompt": [PROMPT] * 3, "max_tokens": 20}))
        while not asking.done():
            seen.append(count("waiting_texts"))
            await asyncio.sleep(0.001)
        return await asking

    usage = talk(app, work).json()["usage"]
    assert max(seen) == 3
    assert count("waiting_texts") == 0
    assert count("texts_total") - before[0] == 3
    assert count("tokens_total", direction="out") - before[1] == usage["completion_tokens"]
    assert count("tokens_total", direction="in") - before[2] == usage["prompt_tokens"]


def test_a_client_that_leaves_ends_its_text(app: App, house: House) -> None:
    served = house.batchers["gpt"].served
    assert isinstance(served, ServedWriter)
    dropped = house.metrics.gone.labels("gpt")._value.get()

    async def work() -> None:
        sent: list[Any] = []
        parts = [{"type": "http.request", "body": json.dumps({"prompt": PROMPT, "max_tokens": 30, "stream": True}).encode()}]
        left = asyncio.Event()

        async def receive() -> dict[str, Any]:
            if parts:
                return parts.pop()
            await left.wait()
            return {"type": "http.disconnect"}

        async def send(message: Any) -> None:
            sent.append(message)
            if message["type"] == "http.response.body":
                left.set()

        scope = {"type": "http", "method": "POST", "path": "/v1/completions", "headers": [], "client": None}
        await asyncio.wait_for(app(scope, receive, send), 10)
        while served.engine.busy:
            await asyncio.sleep(0.01)
        assert not any(b"[DONE]" in message.get("body", b"") for message in sent)

    asyncio.run(asyncio.wait_for(work(), 20))
    assert house.metrics.gone.labels("gpt")._value.get() == dropped + 1
    assert house.metrics.queue.labels("gpt")._value.get() == 0


def test_where_it_is_saved_is_not_told(app: App, house: House) -> None:
    served = house.batchers["gpt"].served
    said = post(app, "/ask", {"rows": [{"text": "a"}]}).text
    assert str(Path(served.folder).parent) not in said
