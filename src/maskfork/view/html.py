"""Building HTML and SVG that cannot be broken by a user's text: whatever is not `Safe` is escaped."""

from __future__ import annotations

import base64
import hashlib
import html
import json
import re
from collections.abc import Iterable
from typing import Any

# C0 controls (but tab, newline, return), DEL, C1 controls and lone surrogates may stand in no HTML document.
_UNPRINTABLE = re.compile("[\x00-\x08\x0b\x0c\x0e-\x1f\x7f-\x9f\ud800-\udfff\ufdd0-\ufdef\ufffe\uffff]")
_NAME = re.compile(r"[A-Za-z][A-Za-z0-9:-]*")
_VOID = frozenset({"br", "col", "hr", "input", "link", "meta", "wbr"})
_SVG_LEAF = frozenset({"circle", "ellipse", "line", "path", "polygon", "polyline", "rect"})


class Safe(str):
    """Markup that is already escaped. Only this file and constant templates make it."""

    __slots__ = ()


def printable(text: str) -> str:
    """`text` with the characters that HTML forbids replaced by U+FFFD."""
    return _UNPRINTABLE.sub("\ufffd", text)


def escape(text: object) -> Safe:
    """`text` for an element's content or a quoted attribute; `Safe` passes as it is."""
    if isinstance(text, Safe):
        return text
    return Safe(html.escape(printable(str(text)), quote=True))


def join(children: Iterable[Any]) -> Safe:
    """The children one after the other: `None` and `False` vanish, lists are flattened, all else is escaped."""
    parts: list[str] = []
    for child in children:
        if child is None or child is False:
            continue
        if isinstance(child, (list, tuple)) or (isinstance(child, Iterable) and not isinstance(child, str)):
            parts.append(join(child))
        else:
            parts.append(escape(child))
    return Safe("".join(parts))


def el(tag: str, *children: Any, **attributes: Any) -> Safe:
    """One element. `class_="a"` gives class, `data_tip` gives data-tip; None or False leaves the attribute out,
    True writes it bare. Event handlers and `style` are refused: the page's policy forbids both.
    """
    written: list[str] = []
    for key, value in attributes.items():
        if value is None or value is False:
            continue
        name = key.rstrip("_").replace("_", "-")
        if not _NAME.fullmatch(name) or name.startswith("on") or name == "style":
            raise ValueError(f"attribute {name!r} is not allowed in a report")
        if value is True:
            written.append(f" {name}")
        else:
            text = f"{value:.2f}".rstrip("0").rstrip(".") if isinstance(value, float) else value
            written.append(f' {name}="{escape(text)}"')
    head = f"<{tag}{''.join(written)}"
    if tag in _VOID:
        return Safe(head + ">")
    if tag in _SVG_LEAF and not children:
        return Safe(head + "/>")
    return Safe(f"{head}>{join(children)}</{tag}>")


def user_text(text: str, **attributes: Any) -> Safe:
    """A text that a user or a model wrote: isolated, so a right-to-left line disturbs nothing around it."""
    return el("bdi", text, **attributes)


def data_block(value: Any, key: str) -> Safe:
    """`value` as JSON in a block that no browser runs, for the page's script to read by the id `key`."""
    text = json.dumps(value, ensure_ascii=False, separators=(",", ":"))
    for char in "<>&\u2028\u2029":
        text = text.replace(char, f"\\u{ord(char):04x}")
    return Safe(f'<script type="application/json" id="{escape(key)}">{printable(text)}</script>')


def document(*, title: str, body: Safe, css: str, script: str = "", lang: str = "en") -> str:
    """A whole page that can load nothing: its only style and script are those given, pinned by hash in the policy.

    Source: W3C Content Security Policy Level 3, sections 2.3.1 (hash-source) and 3.3 (meta element).
    """
    policy = ["default-src 'none'", "base-uri 'none'", "form-action 'none'", f"style-src {_pin(css)}"]
    if script:
        policy.append(f"script-src {_pin(script)}")
    head = join(
        [
            el("meta", charset="utf-8"),
            el("meta", http_equiv="Content-Security-Policy", content="; ".join(policy)),
            el("meta", name="viewport", content="width=device-width, initial-scale=1"),
            el("meta", name="color-scheme", content="light dark"),
            el("meta", name="referrer", content="no-referrer"),
            el("title", title),
            Safe(f"<style>{css}</style>"),
        ]
    )
    tail = Safe(f"<script>{script}</script>") if script else Safe("")
    page = el("html", el("head", head), el("body", body, tail), lang=lang)
    return f"<!doctype html>\n{page}\n"


def _pin(source: str) -> str:
    return "'sha256-" + base64.b64encode(hashlib.sha256(source.encode()).digest()).decode() + "'"
