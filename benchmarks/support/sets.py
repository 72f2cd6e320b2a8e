"""The three public sets, as `maskfork compare` would take them."""

from __future__ import annotations

from maskfork.learn.data.dataset import Dataset, load_dataset
from maskfork.learn.data.rows import Rows
from maskfork.learn.data.split import nested_budgets
from support.ground import data_file

FILES: dict[str, tuple[str, str | None]] = {
    "sst2": ("classification/sst2/train.tsv", "classification/sst2/dev.tsv"),
    "trec": ("classification/trec6/TREC.train.all", None),
    "ag_news": ("classification/ag_news/test.csv", None),
}
TITLES = {"sst2": "SST-2", "trec": "TREC", "ag_news": "AG News"}


def dataset(name: str, limit: int | None = None) -> Dataset:
    """Train and held-out rows; `limit` keeps so many of each, for a trial of the script."""
    path, test = FILES[name]
    found = load_dataset(data_file(path), test_path=None if test is None else data_file(test))
    if limit is None:
        return found
    return Dataset(_some(found.train, limit), _some(found.test, limit), found.report)


def _some(rows: Rows, limit: int) -> Rows:
    return rows.take(nested_budgets(rows.labels, [limit], 0)[limit])
