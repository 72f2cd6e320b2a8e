"""A distillation in the terminal."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from rich import box
from rich.console import Group, RenderableType
from rich.table import Table
from rich.text import Text

from maskfork.view.distil.rows import compared, headline, sentences
from maskfork.view.table import plain


def distill_text(record: Mapping[str, Any]) -> RenderableType:
    """The decision first, then teacher beside student, then what it cost and what is in doubt."""
    table = Table(box=box.SIMPLE_HEAD, padding=(0, 1, 0, 0), show_edge=False)
    table.add_column("")
    for title in ("teacher", "student"):
        table.add_column(title, justify="right")
    for what, teacher, student in compared(record):
        table.add_row(plain(what), plain(teacher), plain(student))
    names = plain(f"teacher: {record['teacher']['name']}; student: {record['student']}", "dim")
    return Group(plain(headline(record), "bold"), names, Text(), table, Text(), *(plain(one) for one in sentences(record)))
