"""Resumes to job descriptions: an encoder finds candidates, a cross-encoder orders them; nDCG, MRR and recall with intervals.

    python examples/resumes/rank.py                  some minutes on two cores
    python examples/resumes/rank.py --steps 2        a trial

Thirty made-up professions in ten families stand in professions.jsonl. Each gives three advertisements and three resumes from
different halves of what is asked and what was done: the two hardly share a word. A resume of the profession is worth 2, one of
its family 1. Both models learn from twenty professions and are judged on the ten others, against the resumes of all thirty.
"""

from __future__ import annotations

import argparse
import json
from itertools import combinations
from pathlib import Path
from tempfile import mkdtemp

import numpy as np

from maskfork.demo.models import encoder_path
from maskfork.learn.search import Index
from maskfork.learn.tasks.common.contract import Split
from maskfork.learn.tasks.embed import TASK as EMBED
from maskfork.learn.tasks.embed.base import base_encoder
from maskfork.learn.tasks.embed.examples import TextRows
from maskfork.learn.tasks.embed.settings import EmbedSettings
from maskfork.learn.tasks.rerank import TASK as RERANK
from maskfork.learn.tasks.rerank.examples import RankRows
from maskfork.learn.tasks.rerank.settings import RerankSettings
from maskfork.measure.means import mean_difference, mean_interval
from maskfork.measure.retrieval import score_retrieval
from maskfork.models.sentence import SentenceEncoder

MEASURES = ("ndcg@10", "mrr@10", "recall@10")
#: candidates that the cross-encoder reads
DEPTH = 20
People = list[dict[str, str]]


def texts() -> tuple[People, People]:
    """Advertisements and resumes: text, profession, family."""
    jobs, resumes = [], []
    file = Path(__file__).parent / "professions.jsonl"
    for line in file.read_text("utf-8").splitlines():
        one = json.loads(line)
        about = {"profession": one["title"], "family": one["family"]}
        halves = [(0, 1), (2, 3), (0, 3)]
        for part in halves:
            jobs.append({**about, "text": f"{one['title']} wanted. You " + ", and you ".join(one["asks"][i] for i in part) + "."})
        for part in list(combinations(range(4), 2))[1:4]:
            resumes.append({**about, "text": ". ".join(one["did"][i] for i in part) + "."})
    return jobs, resumes


def grade(job: dict[str, str], resume: dict[str, str]) -> int:
    return 2 if job["profession"] == resume["profession"] else int(job["family"] == resume["family"])


def ranking(encoder: SentenceEncoder, jobs: People, resumes: People) -> list[list[int]]:
    """The `DEPTH` nearest resumes of each advertisement."""
    index = Index.build(encoder, [r["text"] for r in resumes], model="this encoder")
    hits = index.find(encoder.encode_query([j["text"] for j in jobs], normalize=True), DEPTH)
    return [[hit.row for hit in one] for one in hits]


def measured(jobs: People, resumes: People, rankings: list[list[int]]) -> np.ndarray:
    """[Q, M]"""
    judged = {str(q): {str(d): g for d, r in enumerate(resumes) if (g := grade(j, r))} for q, j in enumerate(jobs)}
    run = {str(q): {str(d): -float(place) for place, d in enumerate(order)} for q, order in enumerate(rankings)}
    return score_retrieval(judged, run, MEASURES).values


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--steps", type=int, default=60, help="of each training")
    parser.add_argument("--base", default=str(encoder_path() or "all-MiniLM-L6-v2"))
    given = parser.parse_args()
    jobs, resumes = texts()
    names = sorted({j["profession"] for j in jobs})
    learnt = set(np.random.default_rng(0).permutation(names)[: 2 * len(names) // 3].tolist())
    train_jobs, test_jobs = ([j for j in jobs if (j["profession"] in learnt) == yes] for yes in (True, False))
    train_resumes = [r for r in resumes if r["profession"] in learnt]
    how = dict(epochs=1e-6, min_steps=given.steps, max_epochs=1e9, validation_share=0.0)

    pairs = [(j["text"], r["text"]) for j in train_jobs for r in train_resumes if grade(j, r) == 2]
    rows = TextRows((tuple(a for a, _ in pairs), tuple(b for _, b in pairs)))
    plain = base_encoder(given.base)
    tuned = EMBED.train(given.base, Split(rows, None, None), EmbedSettings(batch_size=16, **how))

    lists = ranking(plain, train_jobs, train_resumes)  # what a search finds is what the cross-encoder has to tell apart
    graded = [np.array([float(grade(j, train_resumes[d])) for d in order]) for j, order in zip(train_jobs, lists, strict=True)]
    found = tuple(tuple(train_resumes[d]["text"] for d in order) for order in lists)
    asked = RankRows(tuple(j["text"] for j in train_jobs), found, tuple(graded))
    begin = tuned.encoder.save(Path(mkdtemp()) / "encoder")  # the cross-encoder begins with what the encoder has learnt
    cross = RERANK.train(begin, Split(asked, None, None), RerankSettings(**how))

    scores = {}
    for name, encoder in (("encoder as it is", plain), ("encoder trained", tuned.encoder)):
        orders = ranking(encoder, test_jobs, resumes)
        scores[name] = measured(test_jobs, resumes, orders)
        again = []
        for job, order in zip(test_jobs, orders, strict=True):
            ranked = cross.encoder.rank(job["text"], [resumes[d]["text"] for d in order])
            again.append([order[one.index] for one in ranked])
        scores[f"{name}, then cross-encoder"] = measured(test_jobs, resumes, again)
    print(f"{len(test_jobs)} advertisements of {len(names) - len(learnt)} professions, {len(resumes)} resumes; 95 % intervals")
    for name, values in scores.items():
        cells = [mean_interval(values[:, k]) for k in range(len(MEASURES))]
        shown = "  ".join(f"{m} {c.value:.3f} [{c.low:.3f}, {c.high:.3f}]" for m, c in zip(MEASURES, cells, strict=True))
        print(f"{name:40} {shown}")
    first = scores["encoder as it is"][:, 0]
    for name, values in list(scores.items())[1:]:
        gap = mean_difference(values[:, 0], first)
        print(f"{name} against the encoder as it is: nDCG@10 {gap.value:+.3f} [{gap.low:+.3f}, {gap.high:+.3f}]")


if __name__ == "__main__":
    main()
