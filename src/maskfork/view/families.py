"""The families as a table for the terminal, one in full, and the page of the documentation: all from the same facts.

`python -m maskfork.view.families > docs/families.md` writes the page (`make families`).
"""

from __future__ import annotations

import sys
from collections.abc import Sequence

from rich import box
from rich.console import Group, RenderableType
from rich.table import Table
from rich.text import Text

from maskfork.models.catalog import Entry, catalog
from maskfork.view.words import count, listing

TITLES = ("model_type", "fork", "mask rules", "positions", "heads", "from the Hub")
PAGE = """# Families

A checkpoint loads if its `config.json` names one of these as `model_type`. Each is one file of data under
`models/families/`, and this page is made from those files (`make families`), as is the command's answer:

```bash
maskfork families
maskfork families bert
maskfork families bert --json
```

`fork` says which side of the mask a family stands on; `mask rules` are the kinds of rule that its layers have (`&`: both
must allow, `|`: one is enough), `heads` what `load(folder, head=...)` takes beside `none`. The last column names well-known
checkpoints; others of the same `model_type` load too.

{table}
"""


def row(entry: Entry) -> tuple[str, ...]:
    """The cells of one family, in the order of `TITLES`, in full."""
    return (
        entry.name, ", ".join(entry.forks), rules_words(entry), ", ".join(entry.positions) or "none",
        ", ".join(entry.heads) or "none", ", ".join(entry.hub),
    )  # fmt: skip


def rules_words(entry: Entry) -> str:
    """`causal, causal & window`; of an encoder-decoder, each side's."""
    if len(entry.rules) == 1:
        return ", ".join(next(iter(entry.rules.values())))
    return "; ".join(f"{side} {', '.join(rules)}" for side, rules in entry.rules.items())


def families_table(entries: Sequence[Entry]) -> Table:
    """One row a family; of the Hub's checkpoints the first, and how many more."""
    table = Table(box=box.SIMPLE_HEAD, padding=(0, 1, 0, 0), show_edge=False)
    for title in TITLES:
        table.add_column(title, overflow="fold", no_wrap=title in ("model_type",))
    for entry in entries:
        more = f" (+{len(entry.hub) - 1})" if len(entry.hub) > 1 else ""
        cells = [*row(entry)[:-1], (entry.hub[0] + more) if entry.hub else ""]
        table.add_row(*(Text(cell) for cell in cells))
    return table


def family_text(entry: Entry) -> RenderableType:
    """One family in full."""
    table = Table(box=None, show_header=False, padding=(0, 2, 0, 0), show_edge=False)
    table.add_column(no_wrap=True)
    table.add_column(overflow="fold")
    lines = dict(zip(TITLES, row(entry), strict=True)) | {
        "from the Hub": "\n".join(entry.hub),
        "classes": ", ".join(entry.architectures),
        "tokenizer": entry.tokenizer,
        "published sizes": "\n".join(
            f"{p.name}: {count(p.count)} parameters" + (f" with {p.head}" if p.head else "") for p in entry.published
        ),
    }
    for name, words in lines.items():
        if words:
            table.add_row(name, Text(words))
    return Group(Text(f"{entry.name}: {entry.about}", style="bold"), table)


def markdown_row(entry: Entry) -> str:
    """The row of the page's table."""
    name, *cells = (cell.replace("|", "\\|") for cell in row(entry))
    return f"| `{name}` | {' | '.join(cells)} |"


def page(entries: Sequence[Entry]) -> str:
    """docs/families.md"""
    head = f"| {' | '.join(TITLES)} |\n|{'---|' * len(TITLES)}"
    return PAGE.format(table="\n".join([head, *map(markdown_row, entries)]))


def summary(entries: Sequence[Entry]) -> str:
    """How many of each fork, in one line."""
    forks = [e.forks[0] for e in entries]
    sides = [(f, forks.count(f)) for f in dict.fromkeys(forks)]
    return f"{len(entries)} families: " + listing([f"{n} {fork}{'' if n == 1 else 's'}" for fork, n in sides])


if __name__ == "__main__":
    sys.stdout.write(page(catalog()))
