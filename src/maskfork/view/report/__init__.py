"""report.html: the comparison as one self-contained page."""

from __future__ import annotations

from maskfork.view.report.page import render_html, write_html

__all__ = ["render_html", "write_html"]
