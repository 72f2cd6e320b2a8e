"""Vectors of texts, of tokens and of token ids, for TEI's clients and for OpenAI's."""

from __future__ import annotations

from pathlib import Path

import httpx
import numpy as np
import pytest

from maskfork.deploy.serve.app import App
from maskfork.deploy.serve.house import House
from maskfork.deploy.serve.limits import Limits
from maskfork.deploy.serve.served import open_served
from maskfork.learn.train.precision import has_bf16
from maskfork.models.device import best_device
from maskfork.models.sentence import SentenceEncoder, load_sentence_encoder
from tests.deploy.serve.serving import TEXTS, house_of, post, talk
from tests.learn.tiny import make


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
