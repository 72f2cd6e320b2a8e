"""Scores of files: equal to the field's own programs on real and random predictions, with honest intervals and differences."""

from __future__ import annotations

import json
import random
from pathlib import Path

import numpy as np
import pytest

from maskfork.errors import DataError, UsageError
from maskfork.learn.score.answer import score_answers
from maskfork.learn.score.classify import score_labels
from maskfork.learn.score.numbers import score_numbers
from maskfork.learn.score.rank import score_run
from maskfork.learn.score.tag import score_tags
from maskfork.learn.score.writing import score_writing


def lines(path: Path, rows: list[object]) -> Path:
    path.write_text("".join(f"{row}\n" for row in rows), encoding="utf-8")
    return path


def spoilt(labels: list[str], share: float, seed: int) -> list[str]:
    rng = random.Random(seed)
    names = sorted(set(labels))
    return [rng.choice(names) if rng.random() < share else label for label in labels]


def test_labels_as_scikit_learn_scores_them(tmp_path: Path) -> None:
    from sklearn.metrics import accuracy_score, f1_score, matthews_corrcoef

    truth = random.Random(0).choices(["a", "b", "c"], [5, 3, 1], k=400)
    good, bad = spoilt(truth, 0.2, 1), spoilt(truth, 0.6, 2)
    gold, one, two = (lines(tmp_path / n, rows) for n, rows in (("g.txt", truth), ("p.txt", good), ("o.txt", bad)))
    found = score_labels(gold, one, two)
    assert found.metrics["accuracy"].value == pytest.approx(accuracy_score(truth, good), abs=1e-15)
    assert found.metrics["macro_f1"].value == pytest.approx(f1_score(truth, good, average="macro"), abs=1e-15)
    assert found.metrics["mcc"].value == pytest.approx(matthews_corrcoef(truth, good), abs=1e-12)
    assert found.differences is not None
    for name, apart in found.differences.items():
        assert found.metrics[name].low < found.metrics[name].value < found.metrics[name].high
        assert apart.low > 0
        assert apart.p < 0.01
    same = score_labels(gold, one, one)
    assert same.differences is not None
    assert {apart.p for apart in same.differences.values()} == {1.0}


def test_tables_are_joined_by_id_else_by_order(tmp_path: Path) -> None:
    gold = tmp_path / "gold.csv"
    gold.write_text("id,text,label\n7,x,pos\n8,y,neg\n9,z,pos\n")
    guess = tmp_path / "guess.jsonl"
    rows = [{"id": 9, "prediction": "pos"}, {"id": 7, "prediction": "pos"}, {"id": 8, "prediction": "pos"}]
    guess.write_text("".join(json.dumps(row) + "\n" for row in rows))
    found = score_labels(gold, guess)
    assert found.metrics["accuracy"].value == pytest.approx(2 / 3)
    assert found.more["labels"]["pos"]["recall"] == 1.0
    with pytest.raises(DataError, match=r"3 rows and p\.txt 2"):
        score_labels(gold, lines(tmp_path / "p.txt", ["pos", "neg"]))
    with pytest.raises(DataError, match="nearest is"):
        score_labels(gold, guess, column="lable")


@pytest.mark.filterwarnings("ignore")
def test_tags_as_seqeval_scores_them(tmp_path: Path, data_dir: Path) -> None:
    from seqeval.metrics import f1_score, precision_score
    from seqeval.scheme import IOB1

    rng = random.Random(3)
    blocks = (data_dir / "ner/conll2003/eng.testa").read_text("utf-8").split("\n\n")[:300]
    sentences = [[line.split() for line in block.splitlines() if line and not line.startswith("-DOC")] for block in blocks]
    sentences = [sentence for sentence in sentences if sentence]
    names = ["O", "I-PER", "B-PER", "I-LOC", "I-ORG", "B-ORG"]

    def written(name: str, share: float) -> tuple[Path, list[list[str]]]:
        tags = [[rng.choice(names) if rng.random() < share else word[-1] for word in sentence] for sentence in sentences]
        text = "\n\n".join(
            "\n".join(f"{word[0]} {tag}" for word, tag in zip(sentence, row, strict=True))
            for sentence, row in zip(sentences, tags, strict=True)
        )
        (tmp_path / name).write_text(text + "\n")
        return tmp_path / name, tags

    gold, truth = written("gold.conll", 0.0)
    one, guess = written("one.conll", 0.1)
    two, _ = written("two.conll", 0.3)
    found = score_tags(gold, one, two)
    assert found.metrics["f1"].value == f1_score(truth, guess)
    assert found.metrics["precision"].value == precision_score(truth, guess)
    assert found.metrics["strict_f1"].value == f1_score(truth, guess, mode="strict", scheme=IOB1)
    right = sum(a == b for x, y in zip(truth, guess, strict=True) for a, b in zip(x, y, strict=True))
    assert found.metrics["word_accuracy"].value == pytest.approx(right / sum(map(len, truth)))
    assert found.differences is not None
    assert found.differences["f1"].low > 0
    assert found.rows == len(sentences)
    assert found.metrics["f1"].value != found.metrics["strict_f1"].value
    with pytest.raises(UsageError, match="--scheme"):
        score_tags(gold, one, scheme="BIO")
    shifted = tmp_path / "shifted.conll"
    shifted.write_text(one.read_text().replace(sentences[1][0][0], "Other", 1))
    with pytest.raises(DataError, match="other words"):
        score_tags(gold, shifted)


def test_spans_of_characters(tmp_path: Path) -> None:
    def write(name: str, spans: list[list[tuple[int, int, str]]]) -> Path:
        rows = [{"text": "Ann saw Bob", "spans": [{"start": a, "end": b, "label": c} for a, b, c in row]} for row in spans]
        (tmp_path / name).write_text("".join(json.dumps(row) + "\n" for row in rows))
        return tmp_path / name

    gold = write("g.jsonl", [[(0, 3, "P"), (8, 11, "P")]] * 3)
    found = score_tags(gold, write("p.jsonl", [[(0, 3, "P")], [(0, 3, "P"), (8, 11, "P")], [(0, 2, "P")]]))
    assert found.metrics["precision"].value == pytest.approx(3 / 4)
    assert found.metrics["recall"].value == pytest.approx(3 / 6)


def test_answers_by_paragraph(tmp_path: Path, data_dir: Path) -> None:
    articles = json.loads((data_dir / "qa/squad/split_v2.0_shared.json").read_text("utf-8"))["data"][:3]
    gold = tmp_path / "gold.json"
    gold.write_text(json.dumps({"version": "v2.0", "data": articles}))
    rng = random.Random(0)
    said, worse, odds = {}, {}, {}
    for article in articles:
        for paragraph in article["paragraphs"]:
            for asked in paragraph["qas"]:
                first = asked["answers"][0]["text"] if asked["answers"] else ""
                said[asked["id"]] = first if rng.random() < 0.8 else rng.choice(["", "the " + first + " x", "nothing"])
                worse[asked["id"]] = first if rng.random() < 0.5 else "nothing"
                odds[asked["id"]] = rng.random() + (not asked["answers"])
    files = [tmp_path / name for name in ("p.json", "o.json", "n.json")]
    for file, value in zip(files, (said, worse, odds), strict=True):
        file.write_text(json.dumps(value))
    found = score_answers(gold, files[0], files[1], no_answer=files[2])
    assert 0.8 < found.metrics["exact"].value <= found.metrics["f1"].value < 1
    assert found.metrics["no_answer_exact"].value == found.metrics["no_answer_f1"].value
    assert found.differences is not None
    assert found.differences["f1"].low > 0
    assert found.unit == "paragraphs"
    assert found.more["best_f1"] >= found.metrics["f1"].value
    del said[next(iter(said))]
    files[0].write_text(json.dumps(said))
    assert "questions have no prediction" in " ".join(score_answers(gold, files[0]).notes)
    files[0].write_text('{"other": "x"}')
    with pytest.raises(DataError, match="answers none of the questions"):
        score_answers(gold, files[0])


def test_a_run_as_trec_eval_scores_it(tmp_path: Path, data_dir: Path) -> None:
    import pytrec_eval

    gold = data_dir / "retrieval/cranfield/cranqrel.trec.txt"
    rng = np.random.default_rng(0)
    judged: dict[str, dict[str, int]] = {}
    for line in gold.read_text().splitlines():
        query, _, document, grade = line.split()
        judged.setdefault(query, {})[document] = int(grade)

    def write(name: str, luck: float) -> tuple[Path, dict[str, dict[str, float]]]:
        run: dict[str, dict[str, float]] = {}
        for query, grades in judged.items():
            others = {str(d): float(rng.random()) for d in rng.integers(1, 1401, 50)}
            run[query] = others | {d: float(rng.random() + luck * (g > 0)) for d, g in grades.items()}
        rows = [f"{q} Q0 {d} 0 {s!r} me" for q, ranked in run.items() for d, s in ranked.items()]
        return lines(tmp_path / name, rows), run  # type: ignore[arg-type]

    one, run = write("one.run", 0.5)
    two, _ = write("two.run", 0.0)
    found = score_run(gold, one, two)
    theirs = pytrec_eval.RelevanceEvaluator(judged, {"ndcg_cut_10", "recip_rank", "map", "recall_100", "P_10"}).evaluate(run)
    for ours, name in (("ndcg@10", "ndcg_cut_10"), ("mrr", "recip_rank"), ("map", "map"), ("p@10", "P_10")):
        assert found.metrics[ours].value == pytest.approx(np.mean([row[name] for row in theirs.values()]), abs=1e-12)
        assert found.differences is not None
        assert found.differences[ours].low > 0
    assert found.rows == 225
    with pytest.raises(DataError, match="too few columns"):
        score_run(one, lines(tmp_path / "bad.run", ["1 Q0 2"]))


def test_texts_as_sacrebleu_and_rouge_score_them(tmp_path: Path) -> None:
    from rouge_score.rouge_scorer import RougeScorer
    from sacrebleu import corpus_bleu, corpus_chrf

    rng = random.Random(0)
    words = [
        *[
            "the",
            "a",
            "cat",
            "cats",
            "sat",
            "sitting",
            "on",
            "under",
            "table",
            "tables",
            "while",
            "dogs",
            "barked",
            "loudly",
            "today",
            ".",
        ]
    ]
    truth = [" ".join(rng.choices(words, k=rng.randint(4, 14))) for _ in range(60)]
    other = [" ".join(rng.choices(words, k=8)) for _ in range(60)]
    guess = [" ".join(w for w in row.split() if rng.random() < 0.8) for row in truth]
    gold, more, one, two = (
        lines(tmp_path / name, rows)  # type: ignore[arg-type]
        for name, rows in (("g.txt", truth), ("g2.txt", other), ("p.txt", guess), ("o.txt", other))
    )
    found = score_writing("translate", gold, one, two)
    assert found.metrics["bleu"].value == pytest.approx(corpus_bleu(guess, [truth]).score, abs=1e-10)
    assert found.metrics["chrf"].value == pytest.approx(corpus_chrf(guess, [truth]).score, abs=1e-10)
    assert "tok:13a" in found.more["bleu_signature"]
    assert found.differences is not None
    assert found.differences["bleu"].low > 0
    both = score_writing("translate", gold, one, more_references=[more])
    assert both.metrics["bleu"].value == pytest.approx(corpus_bleu(guess, [truth, other]).score, abs=1e-10)
    for stem in (True, False):
        scorer = RougeScorer(["rouge1", "rouge2", "rougeL", "rougeLsum"], use_stemmer=stem)
        each = [scorer.score(a, b) for a, b in zip(truth, guess, strict=True)]
        summed = score_writing("summarise", gold, one, stem=stem)
        for name in ("rouge1", "rouge2", "rougeL", "rougeLsum"):
            assert summed.metrics[name].value == pytest.approx(np.mean([row[name].fmeasure for row in each]), abs=1e-12)


def test_numbers_as_scipy_and_scikit_learn_score_them(tmp_path: Path) -> None:
    from scipy.stats import pearsonr, spearmanr
    from sklearn.metrics import mean_absolute_error, mean_squared_error, r2_score

    rng = np.random.default_rng(0)
    truth = rng.normal(3, 1, 120).round(1)
    good, bad = truth + rng.normal(0, 0.4, 120), truth + rng.normal(0, 2.0, 120)
    gold, one, two = (lines(tmp_path / n, v.tolist()) for n, v in (("g.txt", truth), ("p.txt", good), ("o.txt", bad)))
    found = score_numbers("regression", gold, one, two)
    wanted = {
        "mse": mean_squared_error(truth, good),
        "mae": mean_absolute_error(truth, good),
        "r2": r2_score(truth, good),
        "pearson": pearsonr(truth, good)[0],
        "spearman": spearmanr(truth, good)[0],
    }
    assert {name: metric.value for name, metric in found.metrics.items()} == pytest.approx(wanted, abs=1e-12)
    assert found.differences is not None
    assert all(apart.p < 0.01 and (apart.low > 0 or apart.high < 0) for apart in found.differences.values())
    assert found.differences["mse"].value < 0
    assert set(score_numbers("similarity", gold, one).metrics) == {"pearson", "spearman"}
    with pytest.raises(DataError, match="row 2 holds"):
        score_numbers("similarity", gold, lines(tmp_path / "x.txt", [1, "two", *range(118)]))


def test_several_labels_as_scikit_learn_scores_them(tmp_path: Path) -> None:
    from sklearn.metrics import accuracy_score, f1_score
    from sklearn.preprocessing import MultiLabelBinarizer

    rng = random.Random(0)
    names = ["anger", "fear", "joy", "love"]
    truth = [sorted(rng.sample(names, rng.choice([0, 1, 1, 2, 3]))) for _ in range(300)]
    good, bad = ([[n for n in names if (n in row) != (rng.random() < share)] for row in truth] for share in (0.1, 0.4))
    gold = lines(tmp_path / "gold.jsonl", [json.dumps({"label": row}) for row in truth])
    one, two = (
        lines(tmp_path / name, [json.dumps({"prediction": row}) for row in rows])
        for name, rows in (("one.jsonl", good), ("two.jsonl", bad))
    )
    found = score_labels(gold, one, two)
    marks = MultiLabelBinarizer(classes=names)
    a, b = marks.fit_transform(truth), marks.fit_transform(good)
    for name, average in (("macro_f1", "macro"), ("micro_f1", "micro")):
        assert found.metrics[name].value == pytest.approx(f1_score(a, b, average=average), abs=1e-12)
    assert found.metrics["exact"].value == pytest.approx(accuracy_score(a, b), abs=1e-15)
    assert found.differences is not None
    assert all(apart.low > 0 and apart.p < 0.01 for apart in found.differences.values())
    assert found.more["labels"]["joy"]["gold"] == int(a[:, 2].sum())


def worn(text: str, rng: random.Random) -> str:
    """What a weak model writes: words lost, doubled and swapped."""
    words = [word for word in text.split() if rng.random() > 0.15]
    for _ in range(len(words) // 6):
        i = rng.randrange(len(words))
        words[i], words[i - 1] = words[i - 1], words[i]
    return " ".join(words)


@pytest.mark.parametrize("name", ["multi30k", "e2e_nlg", "scitldr_a"])
def test_real_texts_as_sacrebleu_and_rouge_score_them(name: str, data_dir: Path, tmp_path: Path) -> None:
    """References of the sets themselves, and predictions made of them: every figure to the last digit."""
    import csv
    import gzip

    from rouge_score.rouge_scorer import RougeScorer
    from sacrebleu import corpus_bleu, corpus_chrf

    folder, rng = data_dir / "seq2seq" / name, random.Random(0)
    if name == "multi30k":
        with gzip.open(folder / "val.en.gz", "rt", encoding="utf-8") as file:
            references = [[line.strip()] for line in file][:300]
    elif name == "e2e_nlg":
        of_meaning: dict[str, list[str]] = {}
        with (folder / "devset.csv").open(encoding="utf-8", newline="") as file:
            for row in csv.DictReader(file):
                of_meaning.setdefault(row["mr"], []).append(" ".join(row["ref"].split()))
        references = list(of_meaning.values())[:60]
    else:
        with (folder / "dev.jsonl").open(encoding="utf-8") as file:
            references = [[" ".join(text.split()) for text in json.loads(line)["target"]] for line in file][:80]
    said = [worn(row[-1], rng) for row in references]
    count = max(map(len, references))
    columns = [[row[k] if k < len(row) else "" for row in references] for k in range(count)]
    gold, *more = (lines(tmp_path / f"gold{k}.txt", column) for k, column in enumerate(columns))
    guess = lines(tmp_path / "said.txt", said)
    streams = [[text or None for text in column] for column in columns]
    found = score_writing("translate", gold, guess, more_references=more).metrics
    assert found["bleu"].value == corpus_bleu(said, streams).score
    assert found["chrf"].value == corpus_chrf(said, streams).score
    summed = score_writing("summarise", gold, guess, more_references=more).metrics
    scorer = RougeScorer(["rouge1", "rouge2", "rougeL", "rougeLsum"], use_stemmer=True)
    each = [scorer.score_multi(row, text) for row, text in zip(references, said, strict=True)]
    for measure in ("rouge1", "rouge2", "rougeL", "rougeLsum"):
        assert summed[measure].value == pytest.approx(np.mean([one[measure].fmeasure for one in each]), abs=1e-15)
