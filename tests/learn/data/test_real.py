"""The sets that people really bring, as their sources have them."""

from __future__ import annotations

from pathlib import Path

import pytest

from maskfork.errors import DataError
from maskfork.learn.data.dataset import load_dataset


def test_sst2_unquoted_tsv_without_header(data_dir: Path) -> None:
    folder = data_dir / "classification" / "sst2"
    data = load_dataset(folder / "train.tsv", test_path=folder / "dev.tsv")
    assert (data.report.rows, len(data.test)) == (6920 + 872, 872)
    assert len(data.train) == 6920 - data.report.duplicates_train - data.report.leaked - data.report.near_leaked
    assert data.train.label_names == ("0", "1")
    lines = (folder / "dev.tsv").read_text(encoding="utf-8").split("\n")
    assert data.test.texts[5] == lines[5].split("\t")[0]


def test_trec_latin1_label_lines(data_dir: Path) -> None:
    data = load_dataset(data_dir / "classification" / "trec6" / "TREC.train.all")
    assert (data.report.rows, data.report.encoding, data.train.num_classes) == (5452, "latin-1", 6)
    lines = (data_dir / "classification" / "trec6" / "TREC.train.all").read_bytes().decode("latin-1").split("\n")
    for text, label, row in zip(data.test.texts, data.test.labels, data.test.row_ids, strict=True):
        assert lines[row] == f"{data.test.label_names[label]} {text}"


def test_ag_news_title_and_description(data_dir: Path) -> None:
    report = load_dataset(data_dir / "classification" / "ag_news" / "test.csv").report
    assert (report.rows, report.header) == (7600, False)
    assert (report.text_column, report.pair_column, report.label_column) == ("column_2", "column_3", "column_1")
    assert report.labels == {"1": 1900, "2": 1900, "3": 1900, "4": 1900}


def test_clinc_names_its_splits(data_dir: Path) -> None:
    data = load_dataset(data_dir / "classification" / "clinc150" / "data_full.json")
    assert (data.report.rows, len(data.test), data.train.num_classes) == (23_700, 4500, 150)
    assert data.report.dropped == 4200
    assert len(data.train) + data.report.leaked + data.report.near_leaked + data.report.duplicates_train == 15_000


def test_emotion_json_lines(data_dir: Path) -> None:
    folder = data_dir / "classification" / "emotion"
    data = load_dataset(folder / "train.jsonl", test_path=folder / "validation.jsonl")
    assert (data.report.rows, len(data.test), data.train.num_classes) == (18_000, 2000, 6)
    assert not set(data.train.texts) & set(data.test.texts)


def test_mrpc_marks_quotes_and_carriage_returns(data_dir: Path) -> None:
    folder = data_dir / "pairs" / "mrpc"
    data = load_dataset(folder / "msr-para-train.tsv", test_path=folder / "msr-para-val.tsv")
    assert (data.report.rows, data.report.text_column, data.report.pair_column) == (4076, "#1 String", "#2 String")
    assert data.train.pairs is not None
    assert data.train.pairs[0].startswith('Referring to him as only "the witness"')
    assert not any("\r" in text for text in data.train.pairs)


def test_rte_and_cola(data_dir: Path) -> None:
    rte = load_dataset(data_dir / "pairs" / "rte" / "train.tsv", test_path=data_dir / "pairs" / "rte" / "dev.tsv").report
    assert (rte.rows, rte.pair_column, rte.test_labels) == (2767, "sentence2", {"0": 146, "1": 131})
    folder = data_dir / "pairs" / "cola"
    cola = load_dataset(folder / "in_domain_train.tsv", test_path=folder / "in_domain_dev.tsv").report
    assert (cola.rows, cola.text_column, cola.label_column) == (9078, "column_4", "column_2")


@pytest.mark.parametrize(
    ("name", "message"),
    [
        ("classification/goemotions/dev.tsv", "several labels in 16%"),
        ("classification/ag_news/readme.txt", "one column"),
        ("classification/clinc150/domains.json", "looks like a label"),
        ("pairs/stsb/sts-dev.csv", "line 1479 has 9 tab-separated fields"),
        ("intent_slots/snips/train/seq.in", "one column"),
        ("qa/hf_squad_sample.json", "looks like a label"),
    ],
)
def test_what_is_not_for_one_label_a_row_is_refused(data_dir: Path, name: str, message: str) -> None:
    with pytest.raises(DataError, match=message):
        load_dataset(data_dir / name)
