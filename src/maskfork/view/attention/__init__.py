"""Attention that can be looked at: what was read, by which rule, drawn for the terminal, as a picture, as a page."""

from __future__ import annotations

from maskfork.view.attention.data import Attention, Map, Tile, Token, observe
from maskfork.view.attention.links import Link, check_tile, choose_tile, links

__all__ = ["Attention", "Link", "Map", "Tile", "Token", "check_tile", "choose_tile", "links", "observe"]
