"""Every route answers as `maskfork predict` does; wrong requests are one sentence; the document is true."""

from __future__ import annotations

import asyncio
import json
from pathlib import Path
from typing import Any

import httpx
import jsonschema
import numpy as np
import pytest

from maskfork.deploy.serve.app import App
from maskfork.deploy.serve.house import House
from maskfork.deploy.serve.keys import Keys, read_keys
from maskfork.deploy.serve.limits import Limits
from maskfork.deploy.serve.log import AccessLog
from maskfork.deploy.serve.refused import Refused
from maskfork.deploy.serve.routes.labels import sequences
from maskfork.deploy.serve.served import open_served
from maskfork.errors import UsageError
from maskfork.learn.tasks import open_trained
from maskfork.learn.tasks.answer.trained import Answerer
from maskfork.learn.tasks.classify.reading import Reader
from maskfork.learn.tasks.classify.rules import Rules
from maskfork.learn.tasks.classify.sorter import Sorter
from maskfork.learn.tasks.embed.trained import TrainedEncoder
from maskfork.learn.tasks.rerank.trained import TrainedReranker
from maskfork.learn.tasks.tag.trained import Tagger
from maskfork.learn.train.precision import has_bf16
from maskfork.models.device import best_device
from maskfork.models.sentence import CrossEncoder, SentenceEncoder, load_sentence_encoder
from tests.deploy.serve.serving import Slow, assert_alike, get, house_of, post, talk
from tests.learn.tiny import make, sentences

NAMES = ("bad", "mixed", "good")
TEXTS = sentences(12, 5)[0]
LONG = "film story " * 200


@pytest.fixture(scope="module")
def places(tmp_path_factory: pytest.TempPathFactory) -> dict[str, Path]:
    root = tmp_path_factory.mktemp("models")
    classifier = make("bert", "classify", labels=NAMES)
    several = make("bert", "classify", labels=NAMES, seed=1)
    several.config["problem_type"] = "multi_label_classification"
    rules = Rules(thresholds=(0.2, 0.5, 0.9))
    return {
        "classifier": Sorter(Reader(classifier), "single", NAMES).save(root / "classifier"),
        "several": Sorter(Reader(several), "multi", NAMES, rules=rules).save(root / "several"),
        "plain": make("bert", "classify", labels=NAMES, seed=2).save(root / "plain"),
        "encoder": TrainedEncoder(SentenceEncoder(make("bert", "none"))).save(root / "encoder"),
        "reranker": TrainedReranker(CrossEncoder(make("bert", "classify", labels=("relevant",)))).save(root / "reranker"),
        "tagger": Tagger(make("bert", "tag", labels=("O", "B-GOOD", "I-GOOD")), "spans").save(root / "tagger"),
        "reader": Answerer(make("bert", "span")).save(root / "reader"),
    }


@pytest.fixture(scope="module")
def app(places: dict[str, Path]) -> App:
    return App(house_of(**places))


def test_predict_is_predict_in_every_shape(app: App, places: dict[str, Path]) -> None:
    wanted = open_trained(places["classifier"]).predict([{"text": text} for text in TEXTS])
    single = [post(app, "/predict", {"inputs": text}).json() for text in TEXTS[:3]]
    batch = post(app, "/predict", {"inputs": [[text] for text in TEXTS]})
    assert batch.status_code == 200
    assert int(batch.headers["x-tokens"]) > len(TEXTS)
    for said, answer in zip([*single, *batch.json()], [*wanted[:3], *wanted], strict=True):
        assert [one["score"] for one in said] == sorted((one["score"] for one in said), reverse=True)
        assert said[0]["label"] == answer["label"]
        assert {one["label"]: one["score"] for one in said} == pytest.approx(answer["probabilities"], abs=2e-6)
        assert "holds" not in said[0]
        assert "tokens_lost" not in said[0]
    pair = post(app, "/predict", {"inputs": [TEXTS[0], TEXTS[1]]}).json()
    mixed = post(app, "/predict", {"inputs": [[TEXTS[0], TEXTS[1]], [TEXTS[0]]]}).json()
    assert [[one["label"] for one in row] for row in mixed] == [[one["label"] for one in row] for row in (pair, single[0])]
    (both,) = open_trained(places["classifier"]).predict([{"text": TEXTS[0], "pair": TEXTS[1]}])
    assert {one["label"]: one["score"] for one in pair} == pytest.approx(both["probabilities"], abs=2e-6)


@pytest.mark.parametrize(
    ("inputs", "found"),
    [
        ("a", ([["a"]], False)),
        (["a"], ([["a"]], False)),
        (["a", "b"], ([["a", "b"]], False)),
        ([["a"], ["b", "c"]], ([["a"], ["b", "c"]], True)),
        ([["a"]], ([["a"]], True)),
        ([], None),
        (["a", "b", "c"], None),
        (["a", ["b"]], None),
        ([["a"], "b"], None),
        ([[]], None),
        ([["a", "b", "c"]], None),
    ],
)
def test_inputs_are_read_by_teis_rules(inputs: Any, found: Any) -> None:
    if found is None:
        with pytest.raises(Refused) as caught:
            sequences(inputs)
        assert caught.value.status == 422
    else:
        assert sequences(inputs) == found


def test_several_labels_by_sigmoid_and_thresholds(app: App, places: dict[str, Path]) -> None:
    wanted = open_trained(places["several"]).predict([{"text": text} for text in TEXTS])
    said = post(app, "/predict", {"model": "several", "inputs": [[text] for text in TEXTS]}).json()
    assert [sorted(one["label"] for one in row if one["holds"]) for row in said] == [sorted(row["labels"]) for row in wanted]
    assert any(len(row["labels"]) != 1 for row in wanted)
    raw = post(app, "/predict", {"model": "several", "inputs": TEXTS[0], "raw_scores": True}).json()
    for one in raw:
        assert 1 / (1 + np.exp(-one["score"])) == pytest.approx(wanted[0]["probabilities"][one["label"]], abs=1e-5)


@pytest.mark.parametrize("name", ["classifier", "several", "plain", "encoder", "reranker", "tagger", "reader"])
def test_ask_is_what_predict_says(app: App, places: dict[str, Path], name: str) -> None:
    row = {
        "reranker": {"query": TEXTS[0], "document": TEXTS[1]}, "reader": {"question": TEXTS[0], "context": LONG},
    }.get(name, {"text": TEXTS[0]})  # fmt: skip
    wanted = json.loads(json.dumps(open_trained(places[name]).predict([row])))
    said = post(app, "/ask", {"model": name, "rows": [row]})
    assert said.status_code == 200
    assert_alike(said.json(), wanted)


def test_vectors(app: App, places: dict[str, Path]) -> None:
    encoder = load_sentence_encoder(places["encoder"])
    wanted = encoder.encode(TEXTS, normalize=True)
    assert np.array(post(app, "/embed", {"inputs": TEXTS}).json()) == pytest.approx(wanted, abs=1e-6)
    assert np.array(post(app, "/embed", {"inputs": TEXTS[0], "normalize": False}).json())[0] == pytest.approx(
        encoder.encode(TEXTS[0]), abs=1e-5
    )
    short = np.array(post(app, "/embed", {"inputs": TEXTS[0], "dimensions": 8}).json())
    assert short[0] == pytest.approx(encoder.encode(TEXTS[0], truncate_dim=8, normalize=True), abs=1e-6)
    alike = post(app, "/similarity", {"inputs": {"source_sentence": TEXTS[0], "sentences": TEXTS[1:]}}).json()
    assert alike == pytest.approx((wanted[1:] @ wanted[0]).tolist(), abs=1e-6)


def test_every_token_has_a_vector_and_the_vector_of_a_text_is_their_mean(app: App, places: dict[str, Path]) -> None:
    encoder = load_sentence_encoder(places["encoder"])
    said = post(app, "/embed_all", {"inputs": TEXTS}).json()
    assert [len(one) for one in said] == [len(encoder.model.tokenizer.encode(text)) for text in TEXTS]
    assert np.stack([np.mean(one, 0) for one in said]) == pytest.approx(encoder.encode(TEXTS), abs=1e-5)


def test_token_ids_are_read_as_they_stand(app: App, places: dict[str, Path]) -> None:
    tokenizer = load_sentence_encoder(places["encoder"]).model.tokenizer
    ids = [tokenizer.encode(text) for text in TEXTS]
    wanted = post(app, "/embed", {"inputs": TEXTS}).json()
    assert np.array(post(app, "/embed", {"inputs": ids}).json()) == pytest.approx(np.array(wanted), abs=1e-5)
    mixed = post(app, "/embed", {"inputs": [TEXTS[1], ids[0]]}).json()
    assert np.array(mixed) == pytest.approx(np.array([wanted[1], wanted[0]]), abs=1e-5)
    single = post(app, "/v1/embeddings", {"input": ids[0]}).json()
    assert np.array(single["data"][0]["embedding"]) == pytest.approx(np.array(wanted[0]), abs=1e-5)
    cut = post(app, "/embed", {"inputs": ids[0] * 50})
    assert int(cut.headers["x-truncated-tokens"]) == 50 * len(ids[0]) - 64
    assert post(app, "/embed", {"inputs": ids[0] * 50, "truncate": False}).status_code == 413


def test_the_end_is_read_where_the_start_is_cut(app: App) -> None:
    words = LONG.split()
    for path, body, field in [
        ("/predict", {}, "inputs"), ("/embed", {}, "inputs"), ("/rerank", {"query": "a film"}, "texts"),
        ("/similarity", {}, "inputs"),
    ]:  # fmt: skip

        def asked(text: str, **more: Any) -> Any:
            given: Any = [text] if field == "texts" else text  # noqa: B023
            if path == "/similarity":  # noqa: B023
                given, more = {"source_sentence": "a film", "sentences": [text]}, {"parameters": more}
            return post(app, path, {**body, field: given, **more})  # noqa: B023

        other = " ".join(["actor", *words[1:]])  # differs at its start alone
        left = [asked(text, truncation_direction="Left") for text in (LONG, other)]
        right = [asked(text) for text in (LONG, other)]
        assert_alike(left[0].json(), left[1].json())
        assert right[0].content != right[1].content
        assert left[0].headers["x-truncated-tokens"] == right[0].headers["x-truncated-tokens"]


def test_the_root_is_what_the_model_is_for(app: App) -> None:
    for name, path, body in [
        ("classifier", "/predict", {"inputs": TEXTS[0]}), ("encoder", "/embed", {"inputs": TEXTS[0]}),
        ("reranker", "/rerank", {"query": TEXTS[0], "texts": TEXTS[1:]}),
    ]:  # fmt: skip
        assert_alike(post(app, "/", {**body, "model": name}).json(), post(app, path, body).json())
    assert_alike(post(app, "/", {"inputs": TEXTS[0]}).json(), post(app, "/predict", {"inputs": TEXTS[0]}).json())


def test_prompts_stand_before_texts(tmp_path: Path) -> None:
    encoder = SentenceEncoder(make("bert", "none"), prompts={"query": "the film: "})
    own = App(house_of(encoder=encoder.save(tmp_path / "encoder")))
    said = np.array(post(own, "/embed", {"inputs": TEXTS, "prompt_name": "query"}).json())
    assert said == pytest.approx(encoder.encode(TEXTS, prompt_name="query", normalize=True), abs=1e-5)
    (tokens,) = post(own, "/tokenize", {"inputs": "a story", "prompt_name": "query"}).json()
    assert [t["text"] for t in tokens if not t["special"]][:2] == ["the", "film"]
    assert post(own, "/embed", {"inputs": [[5, 6]], "prompt_name": "query"}).status_code == 422


def test_in_bf16_the_last_digits_alone_are_others(places: dict[str, Path]) -> None:
    if not has_bf16(best_device()):
        pytest.skip("this processor has no bf16 arithmetic")
    quick = App(House([open_served("encoder", str(places["encoder"]), bf16=True)], Limits()))
    wanted = load_sentence_encoder(places["encoder"]).encode(TEXTS, normalize=True)
    found = np.array(post(quick, "/embed", {"inputs": TEXTS}).json())
    assert (found * wanted).sum(1) == pytest.approx(np.ones(len(TEXTS)), abs=1e-3)
    assert np.abs(found - wanted).max() > 1e-6


def test_relevance(app: App, places: dict[str, Path]) -> None:
    rows = [{"query": TEXTS[0], "document": text} for text in TEXTS[1:]]
    wanted = [row["score"] for row in open_trained(places["reranker"]).predict(rows)]
    order = sorted(range(len(wanted)), key=lambda i: -wanted[i])
    said = post(app, "/rerank", {"query": TEXTS[0], "texts": TEXTS[1:], "return_text": True}).json()
    assert [one["index"] for one in said] == order
    assert [one["score"] for one in said] == pytest.approx([wanted[i] for i in order], abs=1e-6)
    assert said[0]["text"] == TEXTS[1:][order[0]]
    theirs = post(app, "/v1/rerank", {"query": TEXTS[0], "documents": TEXTS[1:], "top_n": 2, "return_documents": True}).json()
    assert [one["index"] for one in theirs["results"]] == order[:2]
    assert theirs["results"][0]["document"] == {"text": said[0]["text"]}


def test_spans_and_answers_have_the_characters_of_the_text(app: App) -> None:
    text = "ä film 🎬 " + TEXTS[0]
    (found,) = post(app, "/tag", {"inputs": [text]}).json()
    assert found == post(app, "/tag", {"inputs": text}).json()
    assert all(text[span["start"] : span["end"]] == span["text"] for span in found["spans"])
    said = post(app, "/answer", {"inputs": {"question": TEXTS[1], "context": text}}).json()
    assert said["answers"]
    assert all(text[one["start"] : one["end"]] == one["text"] for one in said["answers"])


def test_tokens_there_and_back(app: App) -> None:
    (tokens,) = post(app, "/tokenize", {"inputs": "A film a story", "model": "classifier"}).json()
    assert [(t["text"], t["start"]) for t in tokens if not t["special"]][:2] == [("A", 0), ("film", 2)]
    assert [t["special"] for t in (tokens[0], tokens[1], tokens[-1])] == [True, False, True]
    assert post(app, "/decode", {"ids": [t["id"] for t in tokens]}).json() == ["a film a story"]


def test_what_is_cut_is_said_and_truncate_false_refuses(app: App, places: dict[str, Path]) -> None:
    (wanted,) = open_trained(places["classifier"]).predict([{"text": LONG}])
    lost = wanted["tokens_lost"]
    assert lost > 0
    said = post(app, "/predict", {"inputs": [[LONG], [TEXTS[0]]]})
    assert (said.headers["x-truncated-texts"], said.headers["x-truncated-tokens"]) == ("1", str(lost))
    assert said.json()[0][0]["tokens_lost"] == lost
    for path, body in [
        ("/predict", {"inputs": LONG}), ("/embed", {"inputs": LONG}), ("/v1/embeddings", {"input": LONG}),
        ("/rerank", {"query": "a", "texts": [LONG]}), ("/ask", {"rows": [{"text": LONG}]}), ("/tag", {"inputs": LONG}),
    ]:  # fmt: skip
        cut = post(app, path, body)
        refused = post(app, path, {**body, "truncate": False})
        if path == "/tag":  # reads in windows
            assert refused.status_code == 200
            continue
        assert int(cut.headers["x-truncated-tokens"]) > 0, path
        assert refused.status_code == 413, path
        assert "truncate=false" in refused.text


def test_the_openai_client(app: App, places: dict[str, Path]) -> None:
    openai = pytest.importorskip("openai")
    wanted = load_sentence_encoder(places["encoder"]).encode(TEXTS, normalize=True)

    async def work(client: httpx.AsyncClient) -> None:
        api = openai.AsyncOpenAI(api_key="none", base_url="http://here/v1", http_client=client, max_retries=0)
        packed = await api.embeddings.create(input=list(TEXTS), model="encoder")  # base64 underneath
        plain = await api.embeddings.create(input=TEXTS[0], model="encoder", encoding_format="float")
        assert np.array([one.embedding for one in packed.data]) == pytest.approx(wanted, abs=1e-6)
        assert np.array(plain.data[0].embedding) == pytest.approx(wanted[0], abs=1e-6)
        assert packed.usage.prompt_tokens > len(TEXTS)
        assert "encoder" in [model.id async for model in api.models.list()]
        assert (await api.models.retrieve("encoder")).id == "encoder"
        for asks in (api.embeddings.create(input="a", model="nobody"), api.models.retrieve("nobody")):
            with pytest.raises(openai.NotFoundError, match="there is no model") as said:
                await asks
            assert said.value.code == "model_not_found"

    talk(app, work)


WRONG = [
    ("/predict", b"{", 400),
    ("/predict", b"", 400),
    ("/predict", b'{"inputs": "\xff"}', 400),
    ("/predict", b'{"x": ' + b"[" * 100_000, 400),
    ("/predict", b"[" * 100_000, 422),
    ("/predict", b'{"inputs": "\\ud800"}', 400),
    ("/predict", {}, 422),
    ("/predict", {"inputs": 5}, 422),
    ("/predict", {"inputs": "a", "model": "nobody"}, 404),
    ("/predict", {"inputs": "a", "model": "encoder"}, 404),
    ("/embed", {"inputs": []}, 422),
    ("/embed", {"inputs": "a", "dimensions": 10_000}, 422),
    ("/embed", {"inputs": "a", "dimensions": -1}, 422),
    ("/embed", {"inputs": "a", "prompt_name": "nobody"}, 422),
    ("/embed", {"inputs": ["a"] * 2000}, 413),
    ("/ask", {"rows": [{"no": "text"}]}, 422),
    ("/ask", {"rows": [{"text": 5}]}, 422),
    ("/ask", {"rows": [{"text": ["a"]}], "model": "encoder"}, 200),
    ("/decode", {"ids": [-1]}, 422),
    ("/decode", {"ids": [1, [2]]}, 422),
    ("/decode", {"ids": [2**70]}, 422),
    ("/similarity", {"inputs": {"source_sentence": "a", "sentences": []}}, 422),
    ("/v1/embeddings", {"input": [10**7]}, 422),
    ("/embed", {"inputs": [1, "a"]}, 422),
    ("/embed_all", {"inputs": [[5], [-1]]}, 422),
    ("/tokenize", {"inputs": "a", "model": "classifier", "prompt_name": "query"}, 422),
    ("/", b"{", 400),
    ("/", {"inputs": 5}, 422),
    ("/", {"inputs": "a", "model": "tagger"}, 404),
    ("/v1/rerank", {"query": "a", "documents": ["b"], "top_n": 0}, 422),
    ("/nowhere", {}, 404),
    ("/health", {}, 405),
    ("/embed", b'{"inputs": "' + b"a" * 3_000_000 + b'"}', 413),
    ("/embed", b'{"inputs": "' + b"a" * 30_000_000 + b'"}', 413),
]


@pytest.mark.parametrize(("path", "body", "status"), WRONG, ids=range(len(WRONG)))
def test_wrong_requests_are_one_sentence(app: App, places: dict[str, Path], path: str, body: Any, status: int) -> None:
    said = post(app, path, body)
    assert said.status_code == status, said.text
    if status != 200:
        error = said.json()["error"]
        sentence = error["message"] if path.startswith("/v1") else error
        assert 10 < len(sentence) < 400
        assert str(places["classifier"].parent) not in said.text
        assert "Traceback" not in said.text


def test_info_has_what_teis_clients_read(app: App, places: dict[str, Path]) -> None:
    said = get(app, "/info").json()
    assert {
        "model_id", "model_sha", "model_dtype", "model_type", "max_concurrent_requests", "max_input_length", "max_batch_tokens",
        "max_batch_requests", "max_client_batch_size", "auto_truncate", "tokenization_workers", "version", "sha", "docker_label",
    } <= said.keys()  # fmt: skip
    assert said["model_dtype"] == "float32"
    assert open_served("encoder", str(places["encoder"])).dtype == "float32"


def test_a_fault_of_ours_is_told_with_the_requests_id(
    places: dict[str, Path], monkeypatch: pytest.MonkeyPatch, capfd: pytest.CaptureFixture[str]
) -> None:
    house = House([Slow()], Limits())
    monkeypatch.setattr(house, "count", lambda texts: 1 // 0)
    said = post(App(house), "/v1/embeddings", {"input": "a"}, headers={"x-request-id": "mine-2"})
    assert said.status_code == 500
    assert said.json()["error"]["type"] == "server_error"
    err = capfd.readouterr().err
    assert "request mine-2 (POST '/v1/embeddings') failed:" in err
    assert "ZeroDivisionError" in err


def test_a_log_that_cannot_be_written_ends_nothing(capfd: pytest.CaptureFixture[str]) -> None:
    log = AccessLog("/dev/full")
    app = App(House([Slow()], Limits()), log=log)
    for _ in range(3):
        assert get(app, "/health").status_code == 200
    assert capfd.readouterr().err.count("the access log cannot be written (No space left on device)") == 1


def test_a_log_that_was_rotated_is_opened_anew(tmp_path: Path) -> None:
    log = AccessLog(str(tmp_path / "access.jsonl"))
    app = App(House([Slow()], Limits()), log=log)
    assert get(app, "/health").status_code == 200
    (tmp_path / "access.jsonl").rename(tmp_path / "access.jsonl.1")
    app.log.reopen()
    assert get(app, "/ready").status_code == 200
    old, new = ([json.loads(line)["path"] for line in (tmp_path / name).read_text().splitlines()]
                for name in ("access.jsonl.1", "access.jsonl"))  # fmt: skip
    assert (old, new) == (["/health"], ["/ready"])


def test_a_reranker_predicts_as_teis_does(app: App, places: dict[str, Path]) -> None:
    pairs = [["a film", "it is warm"], ["a film", "the market"]]
    ranked = post(app, "/rerank", {"query": "a film", "texts": [text for _, text in pairs], "raw_scores": True}).json()
    wanted = [one["score"] for one in sorted(ranked, key=lambda one: one["index"])]
    asked = {"model": "reranker", "raw_scores": True}
    batch = post(app, "/predict", {"inputs": pairs, **asked}).json()
    assert [[one["label"] for one in own] for own in batch] == [["LABEL_0"]] * 2
    assert [own[0]["score"] for own in batch] == pytest.approx(wanted, abs=1e-6)
    assert post(app, "/predict", {"inputs": pairs[0], **asked}).json()[0]["score"] == pytest.approx(wanted[0], abs=1e-6)
    assert post(app, "/predict", {"inputs": "a film", **asked}).status_code == 422
    labels = {one["label"] for one in post(app, "/predict", {"inputs": "a film"}).json()}
    assert labels  # where nobody is named the classifier is asked
    assert "LABEL_0" not in labels
    alone = App(house_of(only=places["reranker"]))
    assert post(alone, "/predict", {"inputs": pairs[0]}).json()[0]["label"] == "LABEL_0"


def test_keys(places: dict[str, Path], tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / "keys").write_text("first-key # mine\n\n# none\nsecond-key\n")
    monkeypatch.setenv("MASKFORK_API_KEYS", "third-key, ")
    keys = read_keys(tmp_path / "keys")
    assert len(keys) == 3
    locked = App(House([Slow()], Limits()), keys)
    for key in ("first-key", "second-key", "third-key"):
        assert get(locked, "/v1/models", headers={"authorization": f"Bearer {key}"}).status_code == 200
    for wrong in ({}, {"authorization": "Bearer wrong"}, {"authorization": "first-key"}, {"authorization": "Basic first-key"}):
        for path in ("/v1/models", "/nowhere", "/metrics", "/predict"):
            said = get(locked, path, headers=wrong)
            assert (said.status_code, said.headers["www-authenticate"]) == (401, "Bearer")
            assert not path.startswith("/v1") or said.json()["error"]["code"] == "invalid_api_key"
    assert get(locked, "/health").status_code == get(locked, "/ready").status_code == 200
    (tmp_path / "none").write_text("# nothing\n")
    for broken in (tmp_path / "none", tmp_path / "missing"):
        with pytest.raises(UsageError):
            read_keys(broken)
    with pytest.raises(UsageError, match="longer"):
        Keys(["short"])


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


def test_the_document_is_true(app: App) -> None:
    document = get(app, "/openapi.json").json()
    parts = {"components": document["components"]}
    asked = {
        "/predict": {"inputs": [["a film"]]}, "/embed": {"inputs": "a film"}, "/rerank": {"query": "a", "texts": ["b", LONG]},
        "/similarity": {"inputs": {"source_sentence": "a", "sentences": ["b"]}}, "/tokenize": {"inputs": "a film"},
        "/decode": {"ids": [5, 6]}, "/ask": {"rows": [{"text": "a"}]}, "/tag": {"inputs": "a film"},
        "/answer": {"inputs": {"question": "a", "context": "a film"}}, "/v1/embeddings": {"input": "a film"},
        "/v1/rerank": {"query": "a", "documents": ["b"]}, "/": {"inputs": "a film"}, "/embed_all": {"inputs": [[5, 6]]},
    }  # fmt: skip
    assert asked.keys() <= document["paths"].keys()
    for path, methods in document["paths"].items():
        for method, said in methods.items():
            if method == "post" and path not in asked:
                continue
            body = asked.get(path)
            if body is not None:
                schema = said["requestBody"]["content"]["application/json"]["schema"]
                jsonschema.validate(body, {**schema, **parts})
            answer = get(app, path.replace("{model}", "encoder")) if method == "get" else post(app, path, body)
            assert answer.status_code == 200, path
            content = said["responses"]["200"]["content"]
            kind = answer.headers["content-type"].split(";")[0]
            if kind == "application/json":
                jsonschema.validate(answer.json(), {**content[kind]["schema"], **parts})
            else:
                assert kind in content
    fault = post(app, "/embed", {"inputs": 5}).json()
    jsonschema.validate(fault, {"$ref": "#/components/schemas/TeiError", **parts})


def test_metrics_and_request_ids(app: App) -> None:
    said = post(app, "/embed", {"inputs": "a film"}, headers={"x-request-id": "mine-1"})
    assert said.headers["x-request-id"] == "mine-1"
    text = get(app, "/metrics").text
    for name in (
        "requests_total",
        "request_seconds_bucket",
        "tokens_total",
        "batch_tokens_sum",
        "waiting_texts",
        "queue_seconds_bucket",
    ):
        assert f"maskfork_{name}{{" in text, name
