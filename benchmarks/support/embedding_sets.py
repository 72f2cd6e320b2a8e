"""Rows of the embedding benchmark: a few a label of three sets, STS-B, Cranfield."""

from __future__ import annotations

import csv
import json
import re
import xml.etree.ElementTree as ET
from dataclasses import dataclass

import numpy as np

from maskfork.learn.data.rows import Rows
from support.ground import data_file
from support.sets import dataset

SETS = {"trec": "TREC", "clinc": "CLINC150, banking", "sst2": "SST-2"}
#: intents of CLINC150's domain `banking`, the 15 of them hardest to tell apart
BANKING = (
    "transfer", "transactions", "balance", "freeze_account", "pay_bill", "bill_balance", "bill_due", "interest_rate", "routing",
    "min_payment", "order_checks", "pin_change", "report_fraud", "account_blocked", "spending_history",
)  # fmt: skip


def few(name: str, shots: int, seed: int) -> tuple[Rows, Rows]:
    """(`shots` rows of each label by this seed, all held-out rows)"""
    train, test = _clinc() if name == "clinc" else _public(name)
    rng = np.random.default_rng([seed, shots])
    chosen = [rng.permutation(np.flatnonzero(train.labels == label))[:shots] for label in range(train.num_classes)]
    return train.take(np.concatenate(chosen)), test


def _public(name: str) -> tuple[Rows, Rows]:
    found = dataset(name)
    return found.train, found.test


def _clinc() -> tuple[Rows, Rows]:
    said = json.loads(data_file("classification/clinc150/data_full.json").read_text("utf-8"))

    def rows(split: str) -> Rows:
        kept = [(text, BANKING.index(label)) for text, label in said[split] if label in BANKING]
        labels = np.array([label for _, label in kept], dtype=np.int64)
        return Rows(tuple(text for text, _ in kept), None, labels, BANKING, np.arange(len(kept)))

    return rows("train"), rows("test")


def stsb(part: str) -> tuple[list[str], list[str], np.ndarray]:
    """First sentences, second sentences, scores from 0 to 5."""
    with data_file(f"pairs/stsb/sts-{part}.csv").open(encoding="utf-8", newline="") as lines:
        rows = [row for row in csv.reader(lines, delimiter="\t", quoting=csv.QUOTE_NONE) if len(row) > 6]
    return [r[5] for r in rows], [r[6] for r in rows], np.array([float(r[4]) for r in rows])


@dataclass(frozen=True)
class Cranfield:
    """Queries by number, documents by number, grades from 1 on."""

    queries: dict[str, str]
    documents: dict[str, str]
    judged: dict[str, dict[str, int]]


def cranfield() -> Cranfield:
    """Queries are numbered by their place, as the judgements number them; a grade of 0 is no relevance here."""
    folder = "retrieval/cranfield"
    found = _parsed(data_file(f"{folder}/cran.qry.xml").read_text("utf-8"), "top")
    queries = {str(i): _flat(one.findtext("title")) for i, one in enumerate(found, 1)}
    documents = {}
    for one in _parsed(data_file(f"{folder}/cran.all.1400.xml").read_text("utf-8"), "doc"):
        documents[_flat(one.findtext("docno"))] = _flat(one.findtext("text")) or _flat(one.findtext("title"))
    judged: dict[str, dict[str, int]] = {}
    for line in data_file(f"{folder}/cranqrel.trec.txt").read_text("utf-8").splitlines():
        query, _, document, grade = line.split()
        if int(grade) > 0 and documents.get(document):
            judged.setdefault(query, {})[document] = int(grade)
    return Cranfield({q: queries[q] for q in judged}, {d: text for d, text in documents.items() if text}, judged)


def _parsed(text: str, tag: str) -> list[ET.Element]:
    return [ET.fromstring(one) for one in re.findall(rf"<{tag}>.*?</{tag}>", text, re.DOTALL)]


def _flat(text: str | None) -> str:
    return " ".join((text or "").split())
