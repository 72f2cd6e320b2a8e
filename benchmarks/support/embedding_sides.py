"""The same rows, seeds and steps by maskfork, and by SetFit or sentence-transformers in their own recipe.

Each function gives what is compared: predictions of the held-out rows, cosines of held-out pairs, or nDCG@10 of each query.
"""

from __future__ import annotations

import math
from typing import Any

import numpy as np

from maskfork.measure.retrieval import score_retrieval
from support import ground
from support.embedding_sets import Cranfield, cranfield, few, stsb

#: steps of a few-shot training, of 32 texts on both sides (SetFit: 16 pairs)
FEW_STEPS = 60
STSB = dict(rows=2000, batch=16, rate=2e-5, warmup=0.1)
CRAN = dict(batch=16, rate=2e-5, warmup=0.1, length=128)


def run(row: str, seed: int, side: str) -> tuple[np.ndarray, np.ndarray]:
    """(values, truth) of a row of the table: trec-8, stsb, cranfield-zero ..."""
    name, _, what = row.partition("-")
    sides: Any = OURS if side == "ours" else THEIRS
    if name == "stsb":
        return sides.stsb(seed), stsb("dev")[2]
    if name == "cranfield":
        return sides.cranfield(seed, tuned=what == "tuned"), np.zeros(0)
    train, test = few(name, int(what), seed)
    return sides.few(train, test, seed), test.labels


def pairs_of(cran: Cranfield) -> tuple[list[tuple[str, str]], list[str]]:
    """(query and document of every judgement of the queries with odd numbers, the queries with even numbers)"""
    odd = [q for q in cran.judged if int(q) % 2]
    return [(cran.queries[q], cran.documents[d]) for q in odd for d in cran.judged[q]], [q for q in cran.judged if not int(q) % 2]


def per_query(cran: Cranfield, queries: list[str], a: np.ndarray, b: np.ndarray) -> np.ndarray:
    """nDCG@10 of each query [Q] by the cosines of unit vectors of queries [Q, D] and all documents [M, D]."""
    names = list(cran.documents)
    run = {q: dict(zip(names, row.tolist(), strict=True)) for q, row in zip(queries, a @ b.T, strict=True)}
    return score_retrieval({q: cran.judged[q] for q in queries}, run, ["ndcg@10"]).values[:, 0]


class OURS:
    @staticmethod
    def few(train: Any, test: Any, seed: int) -> np.ndarray:
        from maskfork.learn.tasks.common.contract import Split
        from maskfork.learn.tasks.few_shot import TASK
        from maskfork.learn.tasks.few_shot.settings import FewShotSettings

        made = TASK.train(ground.minilm(), Split(train, None, None), FewShotSettings(steps_wanted=FEW_STEPS), seed=seed)
        return made.probe.predict(test.texts).argmax(1)

    @staticmethod
    def stsb(seed: int) -> np.ndarray:
        from maskfork.learn.tasks.common.contract import Split
        from maskfork.learn.tasks.embed import TASK
        from maskfork.learn.tasks.embed.examples import TextRows
        from maskfork.learn.tasks.embed.settings import EmbedSettings

        first, second, scores = (part[: STSB["rows"]] for part in stsb("train"))
        how = EmbedSettings(
            epochs=1,
            min_steps=1,
            batch_size=STSB["batch"],
            learning_rate=STSB["rate"],
            warmup=STSB["warmup"],
            validation_share=0.0,
        )
        made = TASK.train(ground.minilm(), Split(TextRows((tuple(first), tuple(second)), scores), None, None), how, seed=seed)
        return _cosines(made.encoder, *stsb("dev")[:2])

    @staticmethod
    def cranfield(seed: int, *, tuned: bool) -> np.ndarray:
        from maskfork.learn.tasks.common.contract import Split
        from maskfork.learn.tasks.embed import TASK
        from maskfork.learn.tasks.embed.base import base_encoder
        from maskfork.learn.tasks.embed.examples import TextRows
        from maskfork.learn.tasks.embed.settings import EmbedSettings

        cran = cranfield()
        pairs, queries = pairs_of(cran)
        if tuned:
            how = EmbedSettings(
                epochs=1, min_steps=1, batch_size=CRAN["batch"], learning_rate=CRAN["rate"], warmup=CRAN["warmup"],
                max_length=CRAN["length"], validation_share=0.0,
            )  # fmt: skip
            rows = TextRows((tuple(q for q, _ in pairs), tuple(d for _, d in pairs)))
            encoder = TASK.train(ground.minilm(), Split(rows, None, None), how, seed=seed).encoder
            encoder.max_seq_length = 256
        else:
            encoder = base_encoder(ground.minilm())
        texts = [cran.queries[q] for q in queries]
        return per_query(
            cran, queries, encoder.encode(texts, normalize=True), encoder.encode(list(cran.documents.values()), normalize=True)
        )


class THEIRS:
    @staticmethod
    def few(train: Any, test: Any, seed: int) -> np.ndarray:
        """SetFit's Trainer with its defaults: pairs with cosine targets, 16 of them a step, 2e-5, a logistic head."""
        from datasets import Dataset
        from setfit import SetFitModel, Trainer, TrainingArguments

        model = SetFitModel.from_pretrained(str(ground.minilm()))
        args = TrainingArguments(
            output_dir=str(ground.RUNS / "setfit"), batch_size=16, num_epochs=1, max_steps=FEW_STEPS, seed=seed, report_to="none",
            logging_strategy="no", save_strategy="no", show_progress_bar=False,
        )  # fmt: skip
        rows = Dataset.from_dict({"text": list(train.texts), "label": train.labels.tolist()})
        Trainer(model=model, args=args, train_dataset=rows).train()
        return np.asarray(model.predict(list(test.texts), show_progress_bar=False))

    @staticmethod
    def stsb(seed: int) -> np.ndarray:
        """sentence-transformers' own example of STS-B: the cosine is trained towards the score."""
        from datasets import Dataset
        from sentence_transformers.losses import CosineSimilarityLoss

        first, second, scores = (part[: STSB["rows"]] for part in stsb("train"))
        rows = Dataset.from_dict({"sentence1": first, "sentence2": second, "score": (scores / 5.0).tolist()})
        model = _fitted(rows, CosineSimilarityLoss, STSB, seed)
        return _cosines(model, *stsb("dev")[:2])

    @staticmethod
    def cranfield(seed: int, *, tuned: bool) -> np.ndarray:
        """Its usual recipe for pairs: multiple negatives ranking, no text twice in a batch."""
        from datasets import Dataset
        from sentence_transformers import SentenceTransformer
        from sentence_transformers.losses import MultipleNegativesRankingLoss

        cran = cranfield()
        pairs, queries = pairs_of(cran)
        if tuned:
            rows = Dataset.from_dict({"anchor": [q for q, _ in pairs], "positive": [d for _, d in pairs]})
            model = _fitted(rows, MultipleNegativesRankingLoss, CRAN, seed, batch_sampler="no_duplicates")
            model.max_seq_length = 256
        else:
            model = SentenceTransformer(str(ground.minilm()), device="cpu")
        how: dict[str, Any] = dict(normalize_embeddings=True, show_progress_bar=False)
        texts = [cran.queries[q] for q in queries]
        return per_query(cran, queries, model.encode(texts, **how), model.encode(list(cran.documents.values()), **how))


def _fitted(rows: Any, loss: Any, how: dict[str, Any], seed: int, **more: Any) -> Any:
    import transformers
    from sentence_transformers import SentenceTransformer, SentenceTransformerTrainer, SentenceTransformerTrainingArguments

    transformers.set_seed(seed)
    model = SentenceTransformer(str(ground.minilm()), device="cpu")
    if "length" in how:
        model.max_seq_length = how["length"]
    warm = round(how["warmup"] * math.ceil(len(rows) / how["batch"]))
    args = SentenceTransformerTrainingArguments(
        output_dir=str(ground.RUNS / "sentence-transformers"), num_train_epochs=1, per_device_train_batch_size=how["batch"],
        learning_rate=how["rate"], warmup_steps=warm, seed=seed, data_seed=seed, use_cpu=True, bf16=True,
        save_strategy="no", logging_strategy="no", report_to="none", disable_tqdm=True, dataloader_pin_memory=False, **more,
    )  # fmt: skip
    SentenceTransformerTrainer(model=model, args=args, train_dataset=rows, loss=loss(model)).train()
    return model.eval()


def _cosines(encoder: Any, first: list[str], second: list[str]) -> np.ndarray:
    a, b = (np.asarray(encoder.encode(texts)) for texts in (first, second))
    return (a * b).sum(-1) / (np.linalg.norm(a, axis=-1) * np.linalg.norm(b, axis=-1))
