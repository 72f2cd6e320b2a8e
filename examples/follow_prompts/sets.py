"""The public sets that the decoder is taught on, each with a licence that lets the weights be shipped.

CLINC150 (CC BY 3.0), GoEmotions (Apache-2.0, CC BY 4.0), SNIPS (CC0), WNUT17 (CC BY 4.0), E2E (CC BY-SA 4.0), books
that are out of copyright.
"""

from __future__ import annotations

import csv
import gzip
import json
import re
from collections import defaultdict
from collections.abc import Iterable
from dataclasses import dataclass, field
from pathlib import Path
from zlib import crc32

from maskfork.learn.data.read import read_table
from maskfork.learn.tasks.tag.reading import words_cell

#: feelings of GoEmotions by what they say of a thing; surprise, realization, curiosity and confusion go either way
POSITIVE = frozenset(
    [
        "admiration",
        "amusement",
        "approval",
        "caring",
        "desire",
        "excitement",
        "gratitude",
        "joy",
        "love",
        "optimism",
        "pride",
        "relief",
    ]
)
NEGATIVE = frozenset(
    [
        "anger",
        "annoyance",
        "disappointment",
        "disapproval",
        "disgust",
        "embarrassment",
        "fear",
        "grief",
        "nervousness",
        "remorse",
        "sadness",
    ]
)
#: the books that the decoder's loss is told on
HELD = frozenset((
    "The Romance of the Forest", "The Interesting Narrative of the Life of Olaudah Equiano", "The Quran", "The Mysterious Rider"
))  # fmt: skip
#: whom the masked names of GoEmotions stand for
_NAMES = ("he", "she", "they", "Anna", "Tom", "Mr Grey", "this guy", "the boss")

ByLabel = dict[str, list[str]]


@dataclass
class Sets:
    """Texts by label. `feelings`: rows with one feeling; `mixed`: rows with a positive and a negative one."""

    feelings: ByLabel = field(default_factory=dict)
    mixed: list[str] = field(default_factory=list)
    intents: ByLabel = field(default_factory=dict)
    domains: dict[str, list[str]] = field(default_factory=dict)
    commands: ByLabel = field(default_factory=dict)
    entities: ByLabel = field(default_factory=dict)
    places: list[tuple[dict[str, str], str]] = field(default_factory=list)
    passages: list[str] = field(default_factory=list)


def read_sets(data: Path, *, held_out: bool = False) -> Sets:
    """All of them, from a folder laid out as their sources have them: what is learnt, or what was kept from it."""
    found = Sets()
    found.feelings, found.mixed = goemotions(data / "classification/goemotions", "dev.tsv" if held_out else "train.tsv")
    clinc = json.loads((data / "classification/clinc150/data_full.json").read_text("utf-8"))
    found.domains = json.loads((data / "classification/clinc150/domains.json").read_text("utf-8"))
    found.intents = _grouped((intent, text) for text, intent in clinc["val" if held_out else "train"])
    snips = data / "intent_slots/snips" / ("dev" if held_out else "train")
    lines = ((snips / name).read_text("utf-8").splitlines() for name in ("label", "seq.in"))
    found.commands = _grouped(zip(*lines, strict=True))
    found.entities = wnut(data / "ner/wnut17" / ("emerging.dev.conll" if held_out else "wnut17train.conll"))
    with (data / "seq2seq/e2e_nlg/devset.csv").open(encoding="utf-8", newline="") as file:
        rows = [row for row in csv.DictReader(file) if (crc32(row["mr"].encode()) % 10 == 0) == held_out]
    found.places = [(dict(re.findall(r"(\w[\w ]*)\[([^\]]*)\]", row["mr"])), row["ref"]) for row in rows]
    with gzip.open(data / "lm/books/train.jsonl.gz", "rt", encoding="utf-8") as file:
        books = [json.loads(line) for line in file]
    found.passages = [part for book in books if (book["title"] in HELD) == held_out for part in _passages(book["text"])]
    return found


def goemotions(folder: Path, name: str) -> tuple[ByLabel, list[str]]:
    """(rows of one feeling by its name, rows that have positive and negative ones)."""
    names = (folder / "labels.txt").read_text("utf-8").split()
    single: ByLabel = defaultdict(list)
    mixed = []
    with (folder / name).open(encoding="utf-8", newline="") as file:
        for number, (text, ids, _) in enumerate(csv.reader(file, delimiter="\t", quoting=csv.QUOTE_NONE)):
            feelings = [names[int(i)] for i in ids.split(",")]
            said = text.replace("[NAME]", _NAMES[number % len(_NAMES)]).replace("[RELIGION]", "faith")
            if len(feelings) == 1:
                single[feelings[0]].append(said)
            elif set(feelings) & POSITIVE and set(feelings) & NEGATIVE:
                mixed.append(said)
            elif set(feelings) <= POSITIVE or set(feelings) <= NEGATIVE:
                single[feelings[0]].append(said)
    return dict(single), mixed


def wnut(path: Path) -> ByLabel:
    """Messages by what they name: one kind of thing, or `nothing`."""
    table = read_table(path, [])
    found: ByLabel = defaultdict(list)
    words, tags = (map(words_cell, table.frame[name].to_list()) for name in table.frame.columns[:2])
    for tokens, marks in zip(words, tags, strict=True):
        kinds = {mark[2:] for mark in marks if mark != "O"}
        if len(kinds) <= 1 and 4 <= len(tokens) <= 30:
            found[kinds.pop() if kinds else "nothing"].append(" ".join(tokens))
    return dict(found)


def _passages(text: str, every: int = 40, size: int = 900) -> list[str]:
    """Some of a book: one stretch in so many."""
    flat = " ".join(text.split())
    return [flat[at : at + size] for at in range(size, len(flat) - size, size * every)]


def _grouped(pairs: Iterable[tuple[str, str]]) -> ByLabel:
    found: ByLabel = defaultdict(list)
    for label, text in pairs:
        if text.strip():
            found[label].append(text.strip())
    return dict(found)
