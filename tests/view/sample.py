"""Reports to look at and to test with: a full one, an empty one, a hostile one, one with 150 labels."""

from __future__ import annotations

import copy
import math
import random
from typing import Any

SERIES = (
    # series, kind, floor, ceiling, rows to half way, p50, p99, throughput, memory, disk, cost
    ("fine-tuned all-MiniLM-L6-v2", "fine-tune", 0.50, 0.915, 90, 4.1, 7.9, 412.0, 512.0, 90.9, 0.27),
    ("probe on all-MiniLM-L6-v2", "probe", 0.50, 0.842, 22, 3.9, 7.4, 455.0, 498.0, 90.9, 0.24),
    ("TF-IDF + logistic regression", "tf-idf", 0.49, 0.795, 60, 0.21, 0.43, 18200.0, 140.0, 1.4, 0.006),
    ("Qwen2.5-0.5B-Instruct prompted", "prompt", 0.801, 0.826, 4, 61.0, 143.0, 21.0, 2150.0, 988.0, 5.3),
    ("gpt-x-mini via endpoint", "endpoint", 0.904, 0.912, 4, 420.0, 1310.0, 9.8, None, None, 38.5),
)


def full_report() -> dict[str, Any]:
    """Five series, budgets 0 to 6,400, two constraints, a crossover."""
    rng = random.Random(0)
    contenders: list[dict[str, Any]] = []
    curves: dict[str, list[dict[str, Any]]] = {}
    for series, kind, floor, ceiling, half, p50, p99, speed, memory, disk, cost in SERIES:
        prompted = kind in ("prompt", "endpoint")
        for budget in (0, 8) if prompted else (8, 64, 512, 6400):
            accuracy = floor + (ceiling - floor) * budget / (budget + half) + rng.uniform(-0.004, 0.004)
            width = 0.012 + (0 if prompted else 0.06 / math.sqrt(1 + budget / 8))
            ci = [accuracy - width * 1.1, min(1.0, accuracy + width)]
            broken = [f"p99 latency {p99:g} ms is over your 50 ms."] if p99 > 50 else []
            if cost > 5:
                broken.append(f"Cost {cost:g} per million texts is over your 5.")
            contenders.append(
                {
                    "name": f"{series} @ {budget}",
                    "series": series,
                    "kind": kind,
                    "base": "sentence-transformers/all-MiniLM-L6-v2",
                    "budget": budget,
                    "seeds": [0] if prompted else [0, 1, 2],
                    "accuracy": accuracy,
                    "accuracy_ci": ci,
                    "macro_f1": accuracy - 0.004,
                    "macro_f1_ci": [ci[0] - 0.006, ci[1] - 0.004],
                    "ece": 0.021 + 0.1 * (1 - accuracy),
                    "ece_ci": [0.012, 0.061],
                    "brier": 0.13,
                    "nll": 0.31,
                    "latency_ms": {"p50": p50, "p99": p99, "count": 300},
                    "throughput": speed,
                    "memory_mb": memory,
                    "disk_mb": disk,
                    "cost_per_million": cost,
                    "within_constraints": not broken,
                    "broken": broken,
                    "on_front": series.startswith(("TF", "fine")) and budget == 6400,
                    "fit_seconds": None if prompted else 12.0 + budget * 0.03,
                    "notes": ["Latency includes the network."] if kind == "endpoint" else [],
                }
            )
            curves.setdefault(series, []).append({"budget": budget, "accuracy": accuracy, "ci": ci})
    ranked = sorted(contenders, key=lambda c: -c["accuracy"])
    pairs = []
    for i, a in enumerate(ranked[:7]):
        for b in ranked[i + 1 : 7]:
            d = a["accuracy"] - b["accuracy"]
            ci = [d - 0.017, d + 0.018]
            p = math.exp(-d * 160)
            better = a["name"] if ci[0] > 0 else None
            pairs.append(
                {
                    "a": a["name"],
                    "b": b["name"],
                    "difference": d,
                    "ci": ci,
                    "mcnemar_p": p,
                    "mcnemar_p_holm": min(1, p * 9),
                    "better": better,
                }
            )
    first, second = ranked[0], ranked[1]
    return {
        "maskfork": "0.1.0",
        "created": "2026-11-21T02:30:00+00:00",
        "command": "maskfork compare reviews.csv --encoder sentence-transformers/all-MiniLM-L6-v2 "
        "--decoder Qwen/Qwen2.5-0.5B-Instruct --budgets 0,8,64,512,all --seeds 3 --p99 50ms "
        "--max-cost-per-million 5 --price-per-hour 0.40",
        "contenders": contenders,
        "not_run": [
            {
                "name": "fine-tuned bert-large @ 6400",
                "why": "the folder ./bert-large has no tokenizer.json; give one with --encoder.",
            }
        ],
        "pairs": pairs,
        "crossover": {
            "budget": 96,
            "ci": [40, 310],
            "encoder": "fine-tuned all-MiniLM-L6-v2",
            "decoder": "Qwen2.5-0.5B-Instruct prompted",
        },
        "crossover_note": "Over gpt-x-mini via endpoint: not within the budgets.",
        "recommendation": {
            "winner": "fine-tuned all-MiniLM-L6-v2 @ 6400",
            "reason": "It keeps your constraints and is not separable from the most accurate.",
            "cannot_tell": True,
            "label_more": 3100,
            "detectable": 0.021,
            "first_line": f"Use fine-tuned all-MiniLM-L6-v2 @ 6400: {first['name']} minus {second['name']} is "
            f"{(first['accuracy'] - second['accuracy']) * 100:+.1f} points (95 % interval -1.6 to +1.9), "
            "which cannot be told from zero, and it is 142 times cheaper.",
        },
        "data": {
            "path": "reviews.csv",
            "rows": 8012,
            "train": 6400,
            "test": 1600,
            "labels": {"positive": 4130, "negative": 3870},
            "duplicates": 9,
            "leaked": 2,
            "near_leaked": 1,
            "encoding": "utf-8",
            "text_column": "review",
            "pair_column": None,
            "label_column": "sentiment",
            "notes": ["Took column “review” as the text and “sentiment” as the label.", "9 duplicates were removed from train."],
        },
        "constraints": {"p99_ms": 50, "qps": None, "memory_mb": 2048, "max_cost_per_million": 5, "price_per_hour": 0.4},
        "environment": {
            "python": "3.11.9",
            "torch": "2.13.0",
            "cpu": "2 × Xeon",
            "load": [0.1, 0.2],
            "versions": {"numpy": "2.3", "polars": "1.30"},
        },
        "figures": {
            "curves": curves,
            "calibration": {
                c["name"]: [
                    {
                        "confidence": x,
                        "accuracy": min(1.0, max(0.0, x - 0.06 + rng.uniform(-0.05, 0.05))),
                        "count": 40 + int(400 * x**4),
                    }
                    for x in (0.53, 0.6, 0.68, 0.75, 0.83, 0.9, 0.97)
                ]
                for c in contenders
            },
            "confusion": {
                "name": "fine-tuned all-MiniLM-L6-v2 @ 6400",
                "labels": ["negative", "positive"],
                "matrix": [[701, 73], [62, 764]],
            },
            "disagreements": _disagreements(ranked),
        },
    }


def _disagreements(ranked: list[dict[str, Any]]) -> list[dict[str, Any]]:
    texts = [
        "Dark, slow and oddly bright at the end: I left the cinema happier than I came.",
        "فيلم جميل لكنه طويل جدا، والنهاية مخيبة للآمال.",
        "映画は美しいが、物語は平板だった。それでも最後の十分は忘れられない。",
        "It wants to be a thriller. It is a nap. " * 50,
        "Not bad 👩🏽‍🚀 at all!\nSecond line of it.",
        "unbrokenwordwithoutanyspace" * 20,
    ]
    rows = []
    for i in range(14):
        names = [c["name"] for c in ranked[:6]]
        rows.append(
            {
                "row_id": 100 + 37 * i,
                "text": texts[i % len(texts)],
                "label": "positive" if i % 3 else "negative",
                "answers": {n: ("positive" if (i + j) % (2 + i % 3) else "negative") for j, n in enumerate(names)},
            }
        )
    return rows


def sure_report() -> dict[str, Any]:
    """Two contenders whose difference excludes zero; no constraints; no cost."""
    report = full_report()
    keep = [c for c in report["contenders"] if c["budget"] == 6400 and c["kind"] in ("fine-tune", "tf-idf")]
    for c in keep:
        c.update(cost_per_million=None, within_constraints=True, broken=[])
    names = [c["name"] for c in keep]
    report.update(contenders=keep, not_run=[], crossover=None, crossover_note="", constraints={})
    report["pairs"] = [
        {
            "a": names[1],
            "b": names[0],
            "difference": -0.118,
            "ci": [-0.14, -0.097],
            "mcnemar_p": 1e-9,
            "mcnemar_p_holm": 1e-9,
            "better": names[0],
        }
    ]
    report["recommendation"] = {
        "winner": names[0],
        "reason": "it is the most accurate",
        "cannot_tell": False,
        "label_more": None,
        "detectable": 0.02,
        "first_line": "",
    }
    report["figures"]["curves"] = {k: v for k, v in report["figures"]["curves"].items() if k in {c["series"] for c in keep}}
    return report


BAD = "<script>alert(1)</script>\"'><img src=x onerror=alert(1)>&amp;</title></style>\x00\x1b[31m\ud800"


def hostile_report() -> dict[str, Any]:
    """Every text in it tries to break out."""

    def spoil(value: Any, key: str = "") -> Any:
        if isinstance(value, dict):
            named = key in {"curves", "calibration", "answers", "labels"}
            return {(k + BAD if named else k): spoil(v, k) for k, v in value.items()}
        if isinstance(value, list):
            return [spoil(v, key) for v in value]
        return value + BAD if isinstance(value, str) else value

    spoiled: dict[str, Any] = spoil(copy.deepcopy(full_report()))
    return spoiled


def many_labels_report(labels: int = 150) -> dict[str, Any]:
    """CLINC150's shape."""
    report = full_report()
    rng = random.Random(1)
    names = [f"{['transfer', 'balance', 'card', 'oil_change', 'translate', 'restaurant'][i % 6]}_{i}" for i in range(labels)]
    matrix = [[0] * labels for _ in range(labels)]
    for i in range(labels):
        for _ in range(30):
            matrix[i][i if rng.random() < 0.9 else rng.randrange(labels)] += 1
    report["figures"]["confusion"].update(labels=names, matrix=matrix)
    report["data"]["labels"] = {n: 100 - i % 7 for i, n in enumerate(names)}
    return report
