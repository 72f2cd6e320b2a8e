"""The command line: one file per verb, each importing its work when it is called."""

from __future__ import annotations

from maskfork.cli.app import main

__all__ = ["main"]
