"""The demo's reviews keep their promises: counts, fixed split, no duplicates, no giveaway words, words in both senses."""

from __future__ import annotations

import csv
import hashlib
import re
from collections import Counter
from itertools import combinations

import pytest

from maskfork.demo import reviews_path

LABELS = ("positive", "negative", "mixed")
# A changed byte moves every number that the demo prints; whoever means it changes this line too.
DIGEST = "98bd0cb186ddb1ee8900fa5344957bc1bd292e6e258ca54022ce8adf8ad05716"

# Each word twice in each of the two clear classes: where it is meant well, and where it is a complaint.
SENSES: dict[str, dict[str, tuple[str, str]]] = {
    "dark": {
        "positive": ("Dark as a cellar, cruel as a playground, and quite brilliantly funny", "Too dark for my gran"),
        "negative": ("with a dark streak that I adored", "So dark and muddy that you can't see"),
    },
    "bright": {
        "positive": ("Bright, bouncy, with not a mean bone", "so bright that I had to squint"),
        "negative": ("a bright young director", "beams so bright you'd think he was selling toothpaste"),
    },
    "flat": {
        "positive": ("The flat, almost bored delivery of the narrator is a stroke of genius", "sermon falls flat"),
        "negative": ("Gone is the flat, dry wit", "It's flat, it's obvious"),
    },
    "cold": {
        "positive": ("cold as a church and just as beautiful", "Some will find the colour scheme cold"),
        "negative": ("all that cold beauty", "Cold, humourless and endless"),
    },
    "sharp": {
        "positive": ("The writing is so sharp", "heroine is sharp-tongued, selfish"),
        "negative": ("a sharp cast", "a sharp, nagging voice"),
    },
    "slow": {
        "positive": ("Even the slow passages have a purpose", "Whoever said it was slow"),
        "negative": ("adore the great slow masters", "stale, timid and terribly slow"),
    },
    "heavy": {
        "positive": ("heavy like a good blanket", "Heavy going in places"),
        "negative": ("A heavy silence over the frozen lake", "heavy as lead"),
    },
    "light": {
        "positive": ("astonishingly light on its feet", "Light stuff, my brother sniffed"),
        "negative": ("Beautiful light, gorgeous coats", "Light entertainment? I've carried fridges"),
    },
    "thin": {
        "positive": ("Her thin, silvery voice", "It should be thin stuff"),
        "negative": ("a thin gold line of dawn", "Thin, shrill and badly dubbed"),
    },
    "loud": {
        "positive": ("fast, loud, sweary and true", "A quiet film for loud times"),
        "negative": ("The first film was a loud, lovely party", "Loud from the logo to the last credit"),
    },
    "quiet": {
        "positive": ("A wise, quiet film about getting old", "Too quiet for a Friday crowd"),
        "negative": ("Admirers will call it quiet, bold", "quiet throughout, and not in the good way"),
    },
    "cheap": {
        "positive": ("cheap to make and rich to watch", "There's nothing cheap about how it earns its tears"),
        "negative": ("cheap and cheerful", "plays it for cheap tears"),
    },
    "long": {
        "positive": ("The marathon sequence is long because marathons are long", "Twenty minutes too long, say"),
        "negative": ("I have nothing against long films", "dull, preachy and far too long"),
    },
}


def words(text: str) -> list[str]:
    return re.findall(r"[\w']+", text.lower())


@pytest.fixture(scope="module")
def rows() -> list[dict[str, str]]:
    with reviews_path().open(encoding="utf-8", newline="") as file:
        return list(csv.DictReader(file))


def test_counts_labels_and_split(rows: list[dict[str, str]]) -> None:
    assert list(rows[0]) == ["text", "label", "split"]
    assert Counter((row["label"], row["split"]) for row in rows) == {
        (label, split): count for label in LABELS for split, count in (("train", 120), ("test", 60))
    }


def test_the_file_is_the_one_that_was_measured() -> None:
    assert hashlib.sha256(reviews_path().read_bytes()).hexdigest() == DIGEST


def test_texts_are_clean_and_of_review_length(rows: list[dict[str, str]]) -> None:
    for row in rows:
        assert row["text"] == " ".join(row["text"].split())
        assert 6 <= len(row["text"].split()) <= 65, row["text"]
    means = {label: sum(len(row["text"].split()) for row in rows if row["label"] == label) / 180 for label in LABELS}
    assert max(means.values()) < 1.2 * min(means.values())


def test_no_exact_and_no_near_duplicates(rows: list[dict[str, str]]) -> None:
    assert len({" ".join(words(row["text"])) for row in rows}) == len(rows)
    grams = []
    for row in rows:
        tokens = words(row["text"])
        grams.append({tuple(tokens[i : i + 3]) for i in range(len(tokens) - 2)})
    for first, second in combinations(range(len(rows)), 2):
        shared = len(grams[first] & grams[second])
        jaccard = shared / (len(grams[first]) + len(grams[second]) - shared)
        assert jaccard < 0.4, (rows[first]["text"], rows[second]["text"])


def test_no_word_gives_a_class_away(rows: list[dict[str, str]]) -> None:
    """No word seen in ten or more reviews belongs to one class in nine of ten of them."""
    seen: dict[str, Counter[str]] = {}
    for row in rows:
        for word in set(words(row["text"])):
            seen.setdefault(word, Counter())[row["label"]] += 1
    telling = {word: count for word, count in seen.items() if count.total() >= 10 and max(count.values()) / count.total() >= 0.9}
    assert not telling
    openings = {label: Counter(words(row["text"])[0] for row in rows if row["label"] == label) for label in LABELS}
    for label in LABELS:
        assert openings[label].most_common(1)[0][1] <= 0.2 * 180, openings[label].most_common(3)


def test_but_turns_reviews_of_all_classes(rows: list[dict[str, str]]) -> None:
    counts = [sum("but" in words(row["text"]) for row in rows if row["label"] == label) for label in LABELS]
    assert min(counts) >= 15
    assert max(counts) <= 1.5 * min(counts)
    assert all(any("but" in words(r["text"]) for r in rows if (r["label"], r["split"]) == (label, "test")) for label in LABELS)


@pytest.mark.parametrize("word", sorted(SENSES))
def test_words_of_two_senses_stand_in_both_clear_classes(rows: list[dict[str, str]], word: str) -> None:
    for label, phrases in SENSES[word].items():
        for phrase in phrases:
            assert word in phrase.lower()
            assert any(phrase in row["text"] and row["label"] == label for row in rows), (label, phrase)


def test_a_bag_of_words_beats_chance_and_stays_far_from_solving_it(rows: list[dict[str, str]]) -> None:
    from sklearn.feature_extraction.text import TfidfVectorizer
    from sklearn.linear_model import LogisticRegression
    from sklearn.model_selection import StratifiedKFold, cross_val_score
    from sklearn.pipeline import make_pipeline

    model = make_pipeline(TfidfVectorizer(ngram_range=(1, 2), sublinear_tf=True), LogisticRegression(C=10.0, max_iter=1000))
    scores = cross_val_score(
        model,
        [row["text"] for row in rows],
        [row["label"] for row in rows],
        cv=StratifiedKFold(5, shuffle=True, random_state=0),
    )
    assert 0.38 < scores.mean() < 0.65
