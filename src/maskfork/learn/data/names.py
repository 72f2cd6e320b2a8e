"""Column names that people use, most telling first; compared after `simplify`."""

from __future__ import annotations

import re
from difflib import get_close_matches

TEXT = (
    "text", "sentence", "review", "review_text", "review_body", "utterance", "comment", "comment_text", "tweet", "message",
    "content", "body", "document", "passage", "paragraph", "article", "post", "abstract", "description", "summary",
    "sentence1", "question", "question1", "premise", "text1", "text_a", "sentence_a", "query", "headline", "title",
    "subject", "input", "inputs", "prompt", "string", "phrase", "sms", "email", "transcript", "lyrics", "doc", "txt",
)  # fmt: skip
PAIRS = (
    ("sentence1", "sentence2"), ("question1", "question2"), ("premise", "hypothesis"), ("text1", "text2"),
    ("text_a", "text_b"), ("sentence_a", "sentence_b"), ("sent1", "sent2"), ("1_string", "2_string"),
    ("text_1", "text_2"), ("sentence_1", "sentence_2"), ("question", "sentence"), ("question", "passage"),
    ("query", "passage"), ("query", "document"), ("title", "description"), ("title", "content"), ("title", "body"),
    ("title", "text"), ("subject", "body"),
)  # fmt: skip
LABEL = (
    "label_text", "label_name", "label", "labels", "gold_label", "class", "class_name", "category", "sentiment", "intent",
    "target", "emotion", "topic", "polarity", "y", "gold", "annotation", "tag", "is_duplicate", "quality",
    "label_coarse", "coarse_label", "stars", "rating", "airline_sentiment", "classification", "type", "output", "score",
)  # fmt: skip
SPLIT = ("split", "subset", "partition", "fold", "set")
IDENTITY = (
    "id", "idx", "index", "guid", "uid", "uuid", "row", "row_id", "row_number", "1_id", "2_id", "pairid", "pair_id", "qid1",
    "qid2", "tweet_id", "sentence_id", "phraseid", "sentenceid", "key", "hash",
)  # fmt: skip
OTHER = (
    "url", "link", "date", "time", "timestamp", "created_at", "user", "username", "author", "name", "source", "lang",
    "language", "country", "city", "location", "email_address", "image", "path", "file", "filename", "group", "domain",
    "unlabelled", "teacher_unlabelled",  # why a teacher has no label for a row
)  # fmt: skip
TEST_SPLIT = ("test", "testing", "heldout", "held_out", "eval", "evaluation")
TRAIN_SPLIT = ("train", "training")


def simplify(name: str) -> str:
    """`"#1 String"` -> `"1_string"`: lower case, runs of anything else become one underscore."""
    return re.sub(r"[\W_]+", "_", name.strip().casefold()).strip("_")


KNOWN = frozenset((*TEXT, *LABEL, *SPLIT, *IDENTITY, *OTHER, *(name for pair in PAIRS for name in pair)))


def listed(names: list[str] | tuple[str, ...], limit: int = 12) -> str:
    """`a, b, c and 4 more`: a list short enough for one sentence."""
    shown = ", ".join(quoted(name) for name in names[:limit])
    return shown if len(names) <= limit else f"{shown} and {len(names) - limit} more"


def quoted(value: str, limit: int = 60) -> str:
    """A value from the user's file, cut for a message and in quotes."""
    flat = " ".join(value.split())
    return f'"{flat}"' if len(flat) <= limit else f'"{flat[:limit]}…"'


def suggestion(wrong: str, known: list[str] | tuple[str, ...]) -> str:
    """`, the nearest is "review"` or nothing."""
    by_simple = {simplify(name): name for name in known}
    near = get_close_matches(simplify(wrong), list(by_simple), n=1, cutoff=0.6)
    return f", the nearest is {quoted(by_simple[near[0]])}" if near else ""
