"""What was read and what was done to it, for the printed page and report.json."""

from __future__ import annotations

import msgspec


class DataReport(msgspec.Struct, frozen=True, kw_only=True):
    """Counts are rows. `notes` are full sentences for the user; nothing was dropped that they do not count."""

    path: str
    test_path: str | None
    format: str
    encoding: str
    header: bool
    text_column: str
    pair_column: str | None
    label_column: str
    group_column: str | None
    time_column: str | None
    split: str  # "file", "column", "stratified", "group" or "time"
    seed: int
    rows: int  # data rows in the file or files
    dropped: int  # without text or label, of a rare label when asked, or of another split
    train: int
    test: int
    labels: dict[str, int]  # train and test together
    train_labels: dict[str, int]
    test_labels: dict[str, int]
    duplicates: int  # rows that repeat an earlier row's text, before any removal
    duplicates_train: int  # of them within train: removed
    duplicates_test: int  # of them within test: kept
    near_train: int
    near_test: int
    leaked: int  # train rows removed because their text is in test
    near_leaked: int  # train rows removed because nearly their text is in test
    conflicts: int  # texts with more than one label
    notes: list[str]
