"""Expressions, grammars and choices; what does not fit; what cannot be kept; other tokenizers."""

from __future__ import annotations

import ast
import json
import re
from pathlib import Path
from typing import Any

import pytest
import torch

from maskfork import Model, load, load_tokenizer
from maskfork.cli.where import model_place
from maskfork.errors import TokenizerError, UsageError
from maskfork.models.hub import build
from maskfork.prompt.generate import write_texts
from maskfork.prompt.generate.constraints import Rule, choices, grammar, json_schema, regex
from maskfork.prompt.generate.constraints.alphabet import Alphabet
from tests.prompt.generate.constraints.wild import wild

__all__ = ["wild"]
SUMS = """
start: sum
sum: product (("+" | "-") product)*
product: atom ("*" atom)*
atom: NUMBER | "(" sum ")"
NUMBER: /0|[1-9][0-9]*/
"""
DRAWN = {"do_sample": True, "temperature": 2.0, "top_k": 0, "num_return_sequences": 8}


def texts(model: Model, form: Rule, most: int, **how: Any) -> list[str]:
    return [text.text for text in write_texts(model, ["So it"], form=form, max_new_tokens=most, **how)[0]]


@pytest.mark.parametrize("pattern", [r"[A-Z]{3}-[0-9]{4}( [a-z]+)*", r"(ab|ba)*c", r"(yes|no)[.!]", r"a{5,9}b?", r"[^a-z]{2}x+"])
def test_expressions(wild: Model, pattern: str) -> None:
    for most in (12, 25):
        got = texts(wild, regex(pattern), most, **DRAWN, seed=most)
        assert all(re.fullmatch(pattern, one) for one in got), got


def test_a_grammar_is_kept(wild: Model) -> None:
    parts = (ast.Expression, ast.BinOp, ast.Add, ast.Sub, ast.Mult, ast.Constant)
    for most in (1, 2, 3, 9, 30):
        for one in texts(wild, grammar(SUMS), most, **DRAWN, seed=most):
            assert all(isinstance(node, parts) for node in ast.walk(ast.parse(one, mode="eval"))), one


def test_choices_and_nothing_else(wild: Model) -> None:
    names = ["positive", "pos", "näher", "not at all", "no"]
    got = texts(wild, choices(names), 12, **{**DRAWN, "num_return_sequences": 200}, seed=0)
    assert set(got) <= set(names)
    assert len(set(got)) >= 3
    assert texts(wild, choices(["no way"]), 12) == ["no way"]


def test_a_model_that_wants_the_form_writes_what_it_would() -> None:
    """Where everything is allowed, the form changes nothing, greedy or drawn."""
    model = load(model_place("books-gpt-3m"))
    for how in ({}, dict(do_sample=True, seed=3, temperature=0.7)):
        free = write_texts(model, ["So it", "He"], max_new_tokens=20, **how)[0]
        held = write_texts(model, ["So it", "He"], max_new_tokens=20, form=regex(r"(.|\n)*"), **how)[0]
        assert [one.text for one in free] == [one.text for one in held]


def test_tokens_that_are_refused_leave_the_others_their_share(wild: Model) -> None:
    """Of two equal choices, the model's own probabilities decide."""
    ids = torch.tensor([wild.tokenizer.encode("So it")])
    logits = wild(ids).logits
    assert logits is not None
    yes, no = (wild.tokenizer.encode(word, special=False) for word in ("A", "B"))
    assert len(yes) == len(no) == 1
    share = float(logits.detach()[0, -1][[yes[0], no[0]]].softmax(0)[0])
    got = texts(wild, choices(["A", "B"]), 4, do_sample=True, top_k=0, num_return_sequences=800, seed=1)
    assert abs(got.count("A") / 800 - share) < 4 * (share * (1 - share) / 800) ** 0.5


def test_what_does_not_fit_is_said_before_anything_is_written(wild: Model) -> None:
    schema = {"type": "object", "properties": {"name": {"type": "string"}}, "required": ["name"]}
    heard: list[str] = []
    with pytest.raises(UsageError, match=r"the JSON schema allows has \d+ tokens and 3 may be written: raise max_new_tokens"):
        write_texts(wild, ["So"], form=json_schema(schema), max_new_tokens=3, on_text=heard.append)
    assert not heard


@pytest.mark.parametrize(
    ("make", "words"),
    [
        (lambda: json_schema({"type": "strin"}), "strin"),
        (lambda: json_schema("{"), "the schema is no JSON"),
        (lambda: json_schema({"not": {"type": "string"}}), 'Unimplemented keys: ."not"'),
        (lambda: json_schema({"type": "object", "minProperties": 2}), "name the properties in `required`"),
        (lambda: regex("(a"), "regex parse error: unclosed group"),
        (lambda: grammar("start: x"), "unknown name"),
        (lambda: choices([]), "choices are one or more texts"),
    ],
)
def test_forms_that_cannot_be_kept(make: Any, words: str) -> None:
    with pytest.raises(UsageError, match=words):
        make()


def test_what_does_not_go_together(wild: Model) -> None:
    for asked, words in ((dict(num_beams=2), "beams"), (dict(stop_strings="x"), "stop strings")):
        with pytest.raises(UsageError, match=f"leave {words} out"):
            texts(wild, choices(["no"]), 5, **asked)
    with pytest.raises(TokenizerError, match="the spaces between this tokenizer's words are in no token"):
        Alphabet(load_tokenizer_of_words(), 100, ())


def load_tokenizer_of_words() -> Any:
    return load(model_place("all-MiniLM-L6-v2")).tokenizer


def test_sentencepiece(data_dir: Path) -> None:
    """A tokenizer whose spaces lead words and whose rare letters are bytes; in a decoder, and in an encoder-decoder."""
    tokenizer = load_tokenizer(data_dir / "weights" / "stories260K" / "tok512.model")
    tiny = {"vocab_size": 512, "hidden_size": 16, "intermediate_size": 24, "num_hidden_layers": 1, "num_attention_heads": 2}
    decoder = build({"model_type": "llama", **tiny, "bos_token_id": 1, "eos_token_id": 2}, "causal_lm", seed=0)
    t5 = {"model_type": "t5", "vocab_size": 512, "d_model": 16, "d_kv": 8, "d_ff": 24, "num_layers": 1, "num_heads": 2}
    both = build({**t5, "eos_token_id": 2, "decoder_start_token_id": 0}, "causal_lm", seed=0)
    for model in (decoder, both):
        model.tokenizer = tokenizer
        got = texts(model, choices(["very good", "schlecht", "für 你"]), 20, **DRAWN, seed=1)
        assert set(got) <= {"very good", "schlecht", "für 你"}, got
        schema = {
            "type": "object",
            "properties": {"a b": {"enum": ["x y", " z"]}},
            "required": ["a b"],
            "additionalProperties": False,
        }
        for one in texts(model, json_schema(schema), 40, **DRAWN, seed=2):
            assert json.loads(one)["a b"] in ("x y", " z")
