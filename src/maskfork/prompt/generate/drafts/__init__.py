"""Speculative decoding: something quick guesses the next tokens; the model reads them at once and keeps what it agrees with."""

from maskfork.prompt.generate.drafts.drafter import Drafter, DraftModel, LookUp, drafter_of
from maskfork.prompt.generate.drafts.lines import write_drafted

__all__ = ["DraftModel", "Drafter", "LookUp", "drafter_of", "write_drafted"]
