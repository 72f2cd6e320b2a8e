"""The embedded demo data: short film reviews written for this project (see README.md in this folder)."""

from __future__ import annotations

from importlib.resources import files
from pathlib import Path

__all__ = ["reviews_path"]


def reviews_path() -> Path:
    """Path of the demo's ``reviews.csv``: UTF-8, header ``text,label,split``, one review a row.

    Raises:
        FileNotFoundError: the package was installed without its data file (a broken or zipped install).
    """
    path = Path(str(files(__name__).joinpath("reviews.csv")))
    if not path.is_file():
        raise FileNotFoundError(f"The demo data {path} is missing; reinstall maskfork from an unpacked wheel.")
    return path
