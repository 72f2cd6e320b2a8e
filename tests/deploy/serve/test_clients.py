"""Clients of others work as they are: huggingface_hub's InferenceClient, lm-evaluation-harness."""

from __future__ import annotations

import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import httpx
import huggingface_hub
import numpy as np
import pytest

from maskfork import __file__ as package
from maskfork.deploy.serve.app import App
from maskfork.learn.tasks.classify.reading import Reader
from maskfork.learn.tasks.classify.sorter import Sorter
from maskfork.models.sentence import SentenceEncoder
from tests.deploy.serve.running import KEY, Running
from tests.deploy.serve.serving import house_of, post, talk
from tests.learn.tiny import make, sentences

TEXTS = sentences(6, 5)[0]
TEMPLATE = "{% for m in messages %}{{ m['content'] }} {% endfor %}"
DECODER = Path(package).parent / "demo" / "books-gpt-3m"


def asked(app: App, work: Any) -> Any:
    """`work` with huggingface_hub's client of the application in this process."""
    huggingface_hub.set_async_client_factory(lambda: httpx.AsyncClient(transport=httpx.ASGITransport(app)))
    try:
        return talk(app, lambda _: work(lambda path: huggingface_hub.AsyncInferenceClient(model=f"http://here{path}")))
    finally:
        huggingface_hub.set_async_client_factory(httpx.AsyncClient)


def test_the_inference_client(tmp_path: Path) -> None:
    encoder = SentenceEncoder(make("bert", "none"))
    writer = make("gpt2", "causal_lm")
    writer.tokenizer.config["chat_template"] = TEMPLATE
    vectors = App(house_of(encoder=encoder.save(tmp_path / "encoder")))
    writes = App(house_of(writer=writer.save(tmp_path / "writer")))

    async def embed(client: Any) -> None:
        for path in ("", "/embed"):
            found = await client(path).feature_extraction(TEXTS[0], normalize=True)
            assert found[0] == pytest.approx(encoder.encode(TEXTS[0], normalize=True), abs=1e-5)
        alike = await client("/similarity").sentence_similarity(TEXTS[0], TEXTS[1:])
        wanted = encoder.encode(TEXTS, normalize=True)
        assert alike == pytest.approx((wanted[1:] @ wanted[0]).tolist(), abs=1e-5)

    async def write(client: Any) -> None:
        said = await client("").chat_completion([{"role": "user", "content": "a film"}], max_tokens=5, temperature=0)
        pieces = await client("").chat_completion(
            [{"role": "user", "content": "a film"}], max_tokens=5, temperature=0, stream=True
        )
        assert "".join([one.choices[0].delta.content or "" async for one in pieces]) == said.choices[0].message.content

    asked(vectors, embed)
    asked(writes, write)
    names = ("bad", "good")
    sorter = Sorter(Reader(make("bert", "classify", labels=names)), "single", names).save(tmp_path / "sorter")
    classifier = App(house_of(sorter=sorter))
    wanted = post(classifier, "/predict", {"inputs": TEXTS[0]}).json()

    async def classify(client: Any) -> None:
        found = await client("").text_classification(TEXTS[0])  # of TEI's flat list the client takes the first: the likeliest
        assert (found.label, found.score) == (wanted[0]["label"], pytest.approx(wanted[0]["score"], abs=1e-5))

    asked(classifier, classify)


@pytest.fixture(scope="module")
def writing(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Running]:
    server = Running(DECODER, tmp_path_factory.mktemp("lm") / "access.jsonl")
    yield server
    server.end()


@pytest.mark.slow
def test_lm_evaluation_harness_gets_the_numbers_of_a_direct_run(
    writing: Running, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A task of its own over the wire (echo and log probabilities) and by transformers in this process."""
    evaluator = pytest.importorskip("lm_eval.evaluator")
    pytest.importorskip("tenacity", reason="lm-eval asks servers by packages of its extra: pip install 'lm-eval[api]'")
    monkeypatch.setenv("OPENAI_API_KEY", KEY)
    monkeypatch.setenv("HF_DATASETS_CACHE", str(tmp_path / "cache"))
    rows = tmp_path / "rows.jsonl"
    choices = [" was", " king", " red", " the"]
    with rows.open("w") as out:
        for i in range(24):
            out.write(json.dumps({"text": f"Once upon a time there {TEXTS[i % 6]}", "label": i % 4}) + "\n")
    task = {
        "task": "local_choice", "dataset_path": "json", "dataset_kwargs": {"data_files": {"test": str(rows)}},
        "test_split": "test", "output_type": "multiple_choice", "doc_to_text": "{{text}}", "doc_to_choice": choices,
        "doc_to_target": "label", "metric_list": [{"metric": "acc"}, {"metric": "acc_norm"}],
    }  # fmt: skip

    def run(kind: str, /, **arguments: Any) -> tuple[dict[str, float], list[float]]:
        found = evaluator.simple_evaluate(
            model=kind, model_args=arguments, tasks=[task], log_samples=True, bootstrap_iters=0, batch_size=4
        )
        logps = [float(one[0]) for row in found["samples"]["local_choice"] for one in row["filtered_resps"]]
        scores = found["results"]["local_choice"]
        return {name: scores[f"{name},none"] for name in ("acc", "acc_norm")}, logps

    wire = {
        "base_url": f"http://127.0.0.1:{writing.port}/v1/completions",
        "num_concurrent": 4,
        "tokenizer_backend": "huggingface",
    }
    served = run("local-completions", model=DECODER.name, tokenizer=str(DECODER), **wire)
    direct = run("hf", pretrained=str(DECODER), dtype="float32", device="cpu")
    assert len(direct[1]) == 24 * len(choices)
    assert np.array(served[1]) == pytest.approx(np.array(direct[1]), abs=2e-4)
    assert served[0] == direct[0]
