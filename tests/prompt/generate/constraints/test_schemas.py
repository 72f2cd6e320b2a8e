"""Whatever a model with random weights wants: every text is valid by `jsonschema`, also with not one token to spare."""

from __future__ import annotations

import json
import random
import re
from collections import Counter
from typing import Any

import jsonschema
import pytest

from maskfork import Model
from maskfork.errors import UsageError
from maskfork.prompt.generate import write_texts
from maskfork.prompt.generate.constraints import Rule, json_schema
from tests.prompt.generate.constraints.schemas import PUBLIC, Schema, drawn
from tests.prompt.generate.constraints.wild import wild

__all__ = ["wild"]


def written(model: Model, form: Rule, most: int, seed: int) -> tuple[list[Any], int]:
    """Drawn texts and a likeliest one; where so few tokens are too few, just as many as it takes."""
    try:
        return [write_texts(model, ["So it"], form=form, max_new_tokens=most, **how)[0][0] for how in ways(seed)], most
    except UsageError as error:
        least = re.search(r"has (\d+) tokens and", str(error))
        if least is None:
            raise
        return written(model, form, int(least[1]), seed)


def ways(seed: int) -> list[dict[str, Any]]:
    drawn = [{"do_sample": True, "temperature": heat, "top_k": 0, "seed": seed} for heat in (0.7, 2.0)]
    return [{}, *drawn] if seed % 3 == 0 else drawn[:1]


def check(model: Model, schema: Schema, seed: int) -> Counter[str]:
    texts, most = written(model, json_schema(schema), random.Random(seed).randint(1, 90), seed)
    for text in texts:
        jsonschema.validate(json.loads(text.text), schema, jsonschema.Draft202012Validator)
        assert text.tokens <= most
    return Counter(text.reason for text in texts)


@pytest.mark.parametrize(
    "seeds", [range(30), *(pytest.param(range(i, i + 100), marks=pytest.mark.slow) for i in range(0, 1000, 100))]
)
def test_schemas_by_lot(wild: Model, seeds: range) -> None:
    reasons: Counter[str] = Counter()
    for seed in seeds:
        reasons += check(wild, drawn(seed), seed)
    assert reasons["end"]
    assert reasons["closed"]


@pytest.mark.parametrize("name", PUBLIC)
def test_public_shapes(wild: Model, name: str) -> None:
    check(wild, PUBLIC[name], seed=1)


@pytest.mark.slow
@pytest.mark.parametrize("name", PUBLIC)
def test_public_shapes_often(wild: Model, name: str) -> None:
    for seed in range(20):
        check(wild, PUBLIC[name], seed)


def test_narrower_where_the_library_has_a_hole() -> None:
    """What it lets through though it should not: next to an open end inside a unit, and keys in other letters."""
    from llguidance import LLMatcher

    from maskfork.prompt.generate.constraints.alphabet import END, byte_tokenizer

    def takes(schema: Schema, text: str) -> bool:
        matcher = LLMatcher(byte_tokenizer(), json_schema(schema).grammar, log_level=0)
        return bool(matcher.validate_tokens([*text.encode(), END]) == len(text.encode()) + 1)

    between = {"type": "number", "exclusiveMinimum": 17, "exclusiveMaximum": 17.5}
    assert [takes(between, text) for text in ("17", "17.25", "17.5")] == [False, True, False]
    keyed = {"type": "object", "properties": {"a": {"type": "integer"}}, "required": ["a"]}
    assert takes(keyed, '{"a":1,"b":"x"}')
    assert not takes(keyed, '{"a":1,"\\u0061":"x"}')
    assert takes({"type": "string", "format": "a colour"}, '"red"')  # a note to the reader
