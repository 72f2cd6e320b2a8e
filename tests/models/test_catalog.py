"""The table of families is the families' own data; the page in the documentation says nothing else."""

from __future__ import annotations

from pathlib import Path

import pytest

from maskfork.core.mask import Causal, Full, Prefix, Window
from maskfork.core.positions.t5 import T5Bias
from maskfork.errors import UsageError
from maskfork.models.catalog import catalog, entry, find, position_name, rule_name
from maskfork.models.families import all_families
from maskfork.view.families import TITLES, markdown_row, page, row, rules_words, summary

DOCUMENT = Path(__file__).resolve().parents[2] / "docs" / "families.md"


def rows(text: str) -> dict[str, str]:
    """The table's lines by model_type."""
    lines = [line for line in text.splitlines() if line.startswith("| `")]
    return {line.split("`")[1]: line for line in lines}


def test_every_family_is_there_once() -> None:
    names = [e.name for e in catalog()]
    assert sorted(names) == sorted(all_families())
    forks = [e.forks[0] for e in catalog()]
    assert forks == sorted(forks, key=("encoder", "decoder", "encoder-decoder").index)


def test_an_entry_is_the_familys_own_data() -> None:
    for family in all_families().values():
        found = entry(family)
        specs = [family.spec(config) for config in (*family.tiny, *family.odd)]
        assert set(found.forks) == {spec.fork for spec in specs}
        assert set(found.heads) == set(family.architectures) - {None}
        assert (found.hub, found.published) == (family.hub, family.published)
        stacks = [s for spec in specs for s in (spec.encoder, spec.decoder) if s is not None]
        assert len(found.positions) == len({type(p) for s in stacks for p in s.positions})
        assert ("cross" in found.rules) is any(s.cross for s in stacks)
        assert len(row(found)) == len(TITLES)


def test_names_of_rules_and_positions() -> None:
    assert rule_name(Full()) == "full"
    assert rule_name(Causal() & Window(3, 0)) == "causal & window"
    assert rule_name((Causal() & Window(3, 0)) | Prefix(2)) == "(causal & window) | prefix"
    assert position_name(T5Bias(8, 20, both_ways=True)) == "t5 bias"
    assert rules_words(find("gpt2")) == "causal"
    assert rules_words(find("t5")) == "encoder full; decoder causal; cross full"


def test_a_family_that_is_not_there() -> None:
    with pytest.raises(UsageError, match="did you mean bert"):
        find("brt")
    with pytest.raises(UsageError, match="there are albert"):
        find("xyzzy123")


def test_the_page_says_what_the_data_says() -> None:
    """A family that the page lacks is no failure, so that a family is one file; a row that says something else is."""
    data = {e.name: markdown_row(e) for e in catalog()}
    written = rows(DOCUMENT.read_text(encoding="utf-8"))
    assert written, "docs/families.md has no table: make families"
    wrong = [name for name, line in written.items() if data.get(name) != line]
    assert wrong == [], "docs/families.md is of another day: make families"


def test_the_page_is_made_from_the_catalog() -> None:
    made = page(catalog())
    assert rows(made) == {e.name: markdown_row(e) for e in catalog()}
    assert made.split("| model_type")[0] == DOCUMENT.read_text(encoding="utf-8").split("| model_type")[0]
    assert "\\|" in markdown_row(find("longformer")) if "longformer" in all_families() else True
    assert summary(catalog()).startswith(f"{len(all_families())} families: ")
