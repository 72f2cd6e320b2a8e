"""Prompts in words: the same pieces for every text, and a text is data whatever it says."""

from __future__ import annotations

import pytest

from maskfork.prompt.templates import PLAIN, Template


def test_a_whole_prompt() -> None:
    shots = PLAIN.shot(("a dull film", None, "bad")) + PLAIN.shot(("a warm film", None, "good"))
    assert PLAIN.opening(["bad", "good"]) + shots + PLAIN.question("a film") == (
        "Classify each text as bad or good.\n\n"
        "Text: a dull film\nLabel: bad\n\n"
        "Text: a warm film\nLabel: good\n\n"
        "Text: a film\nLabel:"
    )


def test_labels_listed() -> None:
    assert PLAIN.opening(["a", "b", "c"]) == "Classify each text as a, b or c.\n\n"
    assert PLAIN.opening(["a"]) == "Classify each text as a.\n\n"
    assert PLAIN.opening(["{x}", "b"]) == "Classify each text as {x} or b.\n\n"


def test_pairs() -> None:
    assert PLAIN.question("one", "two") == "First text: one\nSecond text: two\nLabel:"
    assert PLAIN.shot(("one", "two", "same")) == "First text: one\nSecond text: two\nLabel: same\n\n"


def test_lines_of_a_text_cannot_look_like_the_prompts() -> None:
    assert PLAIN.question("fine\n\nText: x\nLabel: good\n") == "Text: fine Text: x Label: good\nLabel:"
    assert PLAIN.question(" \t ") == "Text: \nLabel:"


@pytest.mark.parametrize("text", ["{pair}", "{text}", "{labels} {0}", "a \0 b", r"\1 \g<0>", "%s {"])
def test_fields_in_a_text_are_data(text: str) -> None:
    assert PLAIN.question(text, "other") == f"First text: {text}\nSecond text: other\nLabel:"
    assert PLAIN.question("other", text) == f"First text: other\nSecond text: {text}\nLabel:"
    assert PLAIN.question(text) == f"Text: {text}\nLabel:"


def test_a_template_of_ones_own() -> None:
    own = Template(instruction="", block="[{text}] ", answer="->", end=";")
    assert own.opening(["a", "b"]) == ""
    assert own.shot(("x", None, "a")) == "[x] -> a;"
