"""Requests that nobody should send, and a house of small models of every kind to send them to."""

from __future__ import annotations

import json
import random
from pathlib import Path
from typing import Any

from maskfork.learn.tasks.answer.trained import Answerer
from maskfork.learn.tasks.classify.reading import Reader
from maskfork.learn.tasks.classify.sorter import Sorter
from maskfork.learn.tasks.embed.trained import TrainedEncoder
from maskfork.learn.tasks.rerank.trained import TrainedReranker
from maskfork.learn.tasks.tag.trained import Tagger
from maskfork.models.sentence import CrossEncoder, SentenceEncoder
from tests.learn.tiny import make

HIDDEN = "hidden-folder"  # a part of every model's path, which no answer may tell
NAMES = ("bad", "good")
ODD: list[Any] = [None, True, -1, 2**63, 2**70, 1e308, -0.0, "", "\x00", "\ud800", "😀" * 50, [], {}, [[]], [None], {"a": {}}]
MORE = [
    "model", "truncate", "dimensions", "temperature", "n", "logprobs", "stop", "truncation_direction", "seed", "stream", "echo",
    "response_format", "stream_options", "raw_scores", "normalize", "prompt_name", "top_logprobs", "max_tokens", "top_p",
]  # fmt: skip
TEMPLATE = "{% for m in messages %}{{ m['role'] }}: {{ m['content'] }} {% endfor %}"
RIGHT: dict[str, Any] = {
    "/": {"inputs": "a film"}, "/predict": {"inputs": [["a film"], ["a", "b"]]}, "/embed": {"inputs": ["a film", [5, 6]]},
    "/embed_all": {"inputs": "a film"}, "/rerank": {"query": "a", "texts": ["b", "c"]},
    "/similarity": {"inputs": {"source_sentence": "a", "sentences": ["b"]}}, "/tokenize": {"inputs": "a film"},
    "/decode": {"ids": [5, 6]}, "/ask": {"rows": [{"text": "a"}]}, "/tag": {"inputs": "a film"},
    "/answer": {"inputs": {"question": "a", "context": "a film"}}, "/v1/embeddings": {"input": "a film"},
    "/v1/rerank": {"query": "a", "documents": ["b"]}, "/v1/completions": {"prompt": "the film", "max_tokens": 3},
    "/v1/chat/completions": {"messages": [{"role": "user", "content": "a film"}], "max_tokens": 3},
}  # fmt: skip


def folders_in(root: Path) -> dict[str, Path]:
    """Models of all kinds, saved."""
    writer = make("gpt2", "causal_lm")
    writer.tokenizer.config["chat_template"] = TEMPLATE
    root = root / HIDDEN
    return {
        "sorter": Sorter(Reader(make("bert", "classify", labels=NAMES)), "single", NAMES).save(root / "sorter"),
        "encoder": TrainedEncoder(SentenceEncoder(make("bert", "none"))).save(root / "encoder"),
        "reranker": TrainedReranker(CrossEncoder(make("bert", "classify", labels=("relevant",)))).save(root / "reranker"),
        "tagger": Tagger(make("bert", "tag", labels=("O", "B-GOOD", "I-GOOD")), "spans").save(root / "tagger"),
        "reader": Answerer(make("bert", "span")).save(root / "reader"),
        "writer": writer.save(root / "writer"),
    }


def check_told(status: int, text: str, about: Any = None) -> None:
    assert status < 500, (status, text[:300], about)
    for word in ("Traceback", HIDDEN, "/site-packages", '.py"', "maskfork/deploy"):
        assert word not in text, text[:300]


def spoilt(rng: random.Random, body: Any) -> bytes:
    """A right body with one thing wrong, as JSON or as what was JSON."""
    text = json.dumps(body)
    way = rng.randrange(8)
    if way == 0:
        return text[: rng.randrange(len(text))].encode()
    if way == 1:
        raw = bytearray(text.encode())
        for _ in range(rng.randint(1, 4)):
            raw[rng.randrange(len(raw))] = rng.randrange(256)
        return bytes(raw)
    if way == 2:
        return b"[" * rng.randint(1, 3000) + text.encode()
    if way == 3:
        return text.replace('"a film"', json.dumps("film " * rng.randint(100, 3500))).encode()
    odd = rng.choice(ODD)
    if way == 4:
        return json.dumps(odd).encode()

    def change(value: Any) -> Any:
        if isinstance(value, dict) and value and rng.random() < 0.8:
            key = rng.choice(list(value))
            return {**value, key: change(value[key])}
        if isinstance(value, list) and value and rng.random() < 0.8:
            at = rng.randrange(len(value))
            return [*value[:at], change(value[at]), *value[at + 1 :]]
        return odd

    if way == 5:
        extra = rng.choice(MORE)
        return json.dumps({**body, extra: odd}).encode()
    return json.dumps(change(body)).encode()
