"""Many texts at once, which come and go between two tokens, over shared pages of keys and values."""

from maskfork.prompt.generate.engine.engine import Engine
from maskfork.prompt.generate.engine.ticket import Said, Ticket

__all__ = ["Engine", "Said", "Ticket"]
