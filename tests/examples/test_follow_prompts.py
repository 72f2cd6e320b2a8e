"""The example that teaches the shipped decoder: it is asked as `maskfork.prompt` asks, and each text has its own answer."""

from __future__ import annotations

import json
import sys
from collections.abc import Iterator
from pathlib import Path
from random import Random
from types import ModuleType
from typing import Any

import pytest

from maskfork.prompt.score import PromptedClassifier
from maskfork.prompt.templates import DESCRIBED, PLAIN, TASK
from tests.learn.tiny import make

HERE = Path(__file__).parents[2] / "examples/follow_prompts"
OWN = ("sets", "words", "questions", "mixture")


@pytest.fixture(scope="module")
def example() -> Iterator[dict[str, ModuleType]]:
    """Its modules; their short names are free again afterwards."""
    import importlib

    sys.path.insert(0, str(HERE))
    yield {name: importlib.import_module(name) for name in OWN}
    sys.path.remove(str(HERE))
    for name in OWN:
        del sys.modules[name]


@pytest.fixture(scope="module")
def tiny(example: dict[str, ModuleType]) -> Any:
    """Sets whose texts say their label."""
    words = example["words"]

    def texts(name: str) -> list[str]:
        return [f"{name}#{i}" for i in range(60)]

    domains = {name: [f"{name}_{i}" for i in range(3)] for name in words.DOMAINS}
    return example["sets"].Sets(
        feelings={name: texts(name) for name in words.FEELINGS},
        mixed=texts("mixed"),
        domains=domains,
        intents={intent: texts(intent) for some in domains.values() for intent in some},
        commands={name: texts(name) for name in words.COMMANDS},
        entities={name: texts(name) for name in words.ENTITIES},
        places=[({fact: value}, f"{value}#") for fact, (values, _) in words.FACTS.items() for value in values],
        passages=["It was a dark night."],
    )


def test_every_answer_is_the_texts_own(example: dict[str, ModuleType], tiny: Any) -> None:
    questions, words, rng = example["questions"], example["words"], Random(0)
    for _ in range(200):
        asked = questions.feelings(tiny, rng)
        for word, text in zip(asked.words, asked.texts, strict=True):
            said = text(rng).split("#")[0]
            if not asked.blank and word not in ("yes", "no", "true", "false"):
                assert word in words.FEELINGS[said][0]
        asked = questions.sentiment(tiny, rng)
        sides = {word: _names(text(rng)) for word, text in zip(asked.words, asked.texts, strict=True)}
        for word, said in sides.items():
            good, bad = said & example["sets"].POSITIVE, said & example["sets"].NEGATIVE
            if word in {side[0] for side in words.SIDES}:
                assert good
                assert not bad
            elif word in {side[1] for side in words.SIDES}:
                assert bad
                assert not good
            elif word in words.MIXED:
                assert (good and bad) or "mixed" in said


def test_it_is_learnt_as_it_is_asked(example: dict[str, ModuleType], tiny: Any) -> None:
    """A talk up to its last answer is the prompt of a classifier that has the texts before it as examples."""
    model, rng, seen = make("gpt2", "causal_lm"), Random(1), set()
    kinds = {**example["questions"].MANY, **example["questions"].OPINIONS}
    for kind in kinds:
        for _ in range(12):
            asked = kind(tiny, rng)
            talk = [message["content"] for message in example["mixture"].talk_of(asked, rng)]
            texts = [said.rsplit("Text: ", 1)[-1].split("\n")[0] for said in talk[::2]]
            words = [said.strip() for said in talk[1::2]]
            shots = [(text, None, asked.words.index(word)) for text, word in zip(texts, words, strict=True)]
            for template in (PLAIN, TASK, DESCRIBED):
                classifier = PromptedClassifier(
                    model, asked.words, shots[:-1], template=template, what=asked.what, descriptions=asked.told or None
                )
                said = [(text, None, asked.words[label]) for text, _, label in shots]
                if classifier.wording.text(said[:-1], texts[-1]) == "".join(talk[:-1]):
                    seen.add((kind.__name__, template.instruction))
    assert {kind for kind, _ in seen} == {kind.__name__ for kind in kinds}
    assert {said for _, said in seen} == {PLAIN.instruction, TASK.instruction, DESCRIBED.instruction}


def test_the_same_talks_every_time(example: dict[str, ModuleType], tiny: Any, tmp_path: Path) -> None:
    files = [tmp_path / name for name in ("a.jsonl", "b.jsonl", "c.jsonl")]
    for file, seed in zip(files, (3, 3, 4), strict=True):
        example["mixture"].write_mixture(tiny, example["questions"].MANY, 50, file, seed=seed)
    first, again, other = (file.read_bytes() for file in files)
    assert first == again
    assert first != other
    for line in first.decode().splitlines():
        roles = [message["role"] for message in json.loads(line)["messages"]]
        assert roles == ["user", "assistant"] * (len(roles) // 2)


def _names(text: str) -> set[str]:
    return {part.split("#")[0].strip(",.").split()[-1] for part in text.split("#")[:-1] if part}
