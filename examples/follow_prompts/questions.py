"""One set of texts asked about in many ways: what is asked, what the answers are called, and the texts with their answers."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from random import Random

from sets import NEGATIVE, POSITIVE, ByLabel, Sets
from words import (
    ABOUT_ASKED,
    BLAMES,
    BLANK,
    COMMANDS,
    DOMAINS,
    ENTITIES,
    ENTITY_ASKED,
    FACTS,
    FEELING_ASKED,
    FEELINGS,
    FEELINGS_ASKED,
    INTENT_ASKED,
    MIXED,
    MIXED_TOLD,
    NEUTRAL,
    NEUTRAL_TOLD,
    ONE_ABOUT,
    ONE_ENTITY,
    ONE_FEELING,
    PRAISES,
    SIDES,
    SIDES_TOLD,
    YES,
)

#: feelings that a judgement of a thing shows, and what others count beside them
_OFTEN = frozenset(
    [
        "admiration",
        "amusement",
        "approval",
        "excitement",
        "joy",
        "love",
        "annoyance",
        "anger",
        "disappointment",
        "disapproval",
        "disgust",
        "sadness",
    ]
)
_RARELY = 0.35
_JOINTS = (" ", " ", ". ", " And ", " but ", ", but ", " Still, ", " ... ", " However, ", " though ")


@dataclass
class Question:
    """`texts[i]` gives a text that is answered by `words[i]`. `told`: when a label applies. `blank`: the words say nothing."""

    what: str
    words: list[str]
    texts: list[Callable[[Random], str]]
    told: list[str] = field(default_factory=list)
    blank: bool = False


def sentiment(sets: Sets, rng: Random) -> Question:
    """Good, bad, both, neither: one to three remarks in a text, some of them indifferent."""
    side, told = rng.choice(SIDES), rng.choice(SIDES_TOLD)
    texts = [lambda r, s=s: _remarks(sets, r, s) for s in (POSITIVE, NEGATIVE)]
    found = [(side[0], texts[0], told[0]), (side[1], texts[1], told[1])]
    third = rng.random()
    if third < 0.4 or third > 0.9:
        found.append((rng.choice(MIXED), lambda r: _both(sets, r), rng.choice(MIXED_TOLD)))
    if third > 0.7:
        found.append((rng.choice(NEUTRAL), lambda r: r.choice(sets.feelings["neutral"]), rng.choice(NEUTRAL_TOLD)))
    return _shuffled(rng, rng.choice(FEELING_ASKED), found)


def opinion(sets: Sets, rng: Random) -> Question:
    """The same under the usual names, in texts as long as a short review."""
    good, bad = rng.choices((("positive", "negative"), ("good", "bad")), (4, 1))[0]
    told = rng.choice(SIDES_TOLD)
    texts = [lambda r, s=s: _remarks(sets, r, s, (1, 2, 2, 3)) for s in (POSITIVE, NEGATIVE)]
    found = [(good, texts[0], told[0]), (bad, texts[1], told[1])]
    third = rng.random()
    if third < 0.45:
        found.append(("mixed", lambda r: _both(sets, r), rng.choice(MIXED_TOLD)))
    elif third < 0.55:
        found.append(("neutral", lambda r: r.choice(sets.feelings["neutral"]), rng.choice(NEUTRAL_TOLD)))
    return _shuffled(rng, rng.choice(FEELING_ASKED), found)


def one_side(sets: Sets, rng: Random) -> Question:
    """Is it good (bad)?"""
    good = rng.random() < 0.5
    texts = [lambda r, s=s: _remarks(sets, r, s) for s in ((POSITIVE, NEGATIVE) if good else (NEGATIVE, POSITIVE))]
    return _yes_or_no(rng, rng.choice(PRAISES if good else BLAMES), texts)


def feelings(sets: Sets, rng: Random) -> Question:
    """Two to five of the 28, or one of them and not."""
    known = [name for name in FEELINGS if len(sets.feelings.get(name, ())) >= 50]
    if rng.random() < 0.3:
        name = rng.choice(known)
        others = [one for one in known if one != name]
        texts = [lambda r: r.choice(sets.feelings[name]), lambda r: r.choice(sets.feelings[r.choice(others)])]
        return _yes_or_no(rng, rng.choice(ONE_FEELING).format(rng.choice(FEELINGS[name][0])), texts)
    chosen = rng.sample(known, rng.randint(2, 5))
    found = [(rng.choice(FEELINGS[n][0]), _from(sets.feelings[n]), FEELINGS[n][1]) for n in chosen]
    return _shuffled(rng, rng.choice(FEELINGS_ASKED), found, blank=rng.random() < 0.05)


def topics(sets: Sets, rng: Random) -> Question:
    """CLINC's ten domains: some of them, or one and not."""
    texts = {
        name: (lambda r, intents=intents: r.choice(sets.intents[r.choice(intents)])) for name, intents in sets.domains.items()
    }
    if rng.random() < 0.4:
        name = rng.choice(list(texts))
        others = [one for one in texts if one != name]
        asked = rng.choice(ONE_ABOUT).format(rng.choice(DOMAINS[name]))
        return _yes_or_no(rng, asked, [texts[name], lambda r: texts[r.choice(others)](r)])
    chosen = rng.sample(list(texts), rng.randint(2, 6))
    return _shuffled(rng, rng.choice(ABOUT_ASKED), [(rng.choice(DOMAINS[n]), texts[n], "") for n in chosen])


def intents(sets: Sets, rng: Random) -> Question:
    """Some of CLINC's 150 intents, often with names that say nothing."""
    chosen = rng.sample(list(sets.intents), rng.randint(2, 6))
    found = [(name.replace("_", " "), _from(sets.intents[name]), "") for name in chosen]
    return _shuffled(rng, rng.choice(INTENT_ASKED), found, blank=rng.random() < 0.4)


def commands(sets: Sets, rng: Random) -> Question:
    """SNIPS' seven."""
    chosen = rng.sample(list(COMMANDS), rng.randint(2, 6))
    found = [(rng.choice(COMMANDS[name]), _from(sets.commands[name]), "") for name in chosen]
    return _shuffled(rng, rng.choice(INTENT_ASKED), found, blank=rng.random() < 0.3)


def entities(sets: Sets, rng: Random) -> Question:
    """What WNUT's messages name."""
    if rng.random() < 0.5:
        name = rng.choice([kind for kind in ENTITIES if kind != "nothing"])
        others = [kind for kind in ENTITIES if kind != name and kind in sets.entities]
        texts = [_from(sets.entities[name]), lambda r: r.choice(sets.entities[r.choice(others)])]
        return _yes_or_no(rng, rng.choice(ONE_ENTITY).format(ENTITIES[name][1]), texts)
    chosen = rng.sample(list(ENTITIES), rng.randint(2, 4))
    return _shuffled(rng, rng.choice(ENTITY_ASKED), [(rng.choice(ENTITIES[n]), _from(sets.entities[n]), "") for n in chosen])


def facts(sets: Sets, rng: Random) -> Question:
    """What E2E's sentences say of a place."""
    name = rng.choice([*FACTS, "customer rating", "customer rating"])  # the one that judges, more often
    values, asked = FACTS[name]
    which = rng.randrange(2)
    by_word: ByLabel = {}
    for given, text in sets.places:
        if given.get(name) in values:
            called = values[given[name]]
            by_word.setdefault(called[min(which, len(called) - 1)], []).append(text)
    words = rng.sample(list(by_word), min(len(by_word), rng.randint(2, 3)))
    return _shuffled(rng, rng.choice(asked), [(word, _from(by_word[word]), "") for word in words])


Kind = Callable[[Sets, Random], Question]
#: how often each is asked: first of many kinds, then mostly what the demo asks
MANY: dict[Kind, float] = {
    sentiment: 0.54,
    one_side: 0.07,
    feelings: 0.13,
    topics: 0.07,
    intents: 0.07,
    commands: 0.03,
    entities: 0.04,
    facts: 0.05,
}
OPINIONS: dict[Kind, float] = {opinion: 0.8, one_side: 0.06, feelings: 0.05, topics: 0.04, facts: 0.05}


def _from(texts: Sequence[str]) -> Callable[[Random], str]:
    return lambda rng: rng.choice(texts)


def _remarks(sets: Sets, rng: Random, side: frozenset[str], counts: Sequence[int] = (1, 1, 1, 2, 2, 3)) -> str:
    parts = [_remark(sets, rng, side) for _ in range(rng.choice(counts))]
    return _joined(rng, parts + ([rng.choice(sets.feelings["neutral"])] if rng.random() < 0.25 else []))


def _both(sets: Sets, rng: Random) -> str:
    if rng.random() < 0.15:
        return rng.choice(sets.mixed)
    parts = [_remark(sets, rng, POSITIVE), _remark(sets, rng, NEGATIVE)]
    return _joined(rng, parts + ([_remark(sets, rng, rng.choice((POSITIVE, NEGATIVE)))] if rng.random() < 0.3 else []))


def _remark(sets: Sets, rng: Random, side: frozenset[str]) -> str:
    names = sorted(side)
    weights = [len(sets.feelings[n]) ** 0.5 * (1.0 if n in _OFTEN else _RARELY) for n in names]
    return rng.choice(sets.feelings[rng.choices(names, weights)[0]])


def _joined(rng: Random, parts: list[str]) -> str:
    """In any order, so that neither the place nor a "but" tells the answer."""
    rng.shuffle(parts)
    whole = parts[0]
    for part in parts[1:]:
        whole += rng.choice(_JOINTS) + part
    return whole


def _yes_or_no(rng: Random, what: str, texts: Sequence[Callable[[Random], str]]) -> Question:
    return _shuffled(rng, what, [(word, text, "") for word, text in zip(rng.choice(YES), texts, strict=True)])


def _shuffled(
    rng: Random, what: str, found: Sequence[tuple[str, Callable[[Random], str], str]], *, blank: bool = False
) -> Question:
    """The labels in any order; with `blank`, under names that say nothing."""
    order = rng.sample(list(found), len(found))
    words = rng.sample(BLANK, len(order)) if blank else [word for word, _, _ in order]
    told = [] if blank or not all(told for _, _, told in order) else [told for _, _, told in order]
    return Question(what, words, [text for _, text, _ in order], told, blank)
