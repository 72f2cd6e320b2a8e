"""Writing text: greedy, drawn, along beams; penalties, stop strings, streaming."""

from maskfork.prompt.generate.settings import Settings
from maskfork.prompt.generate.texts import Text, write_texts
from maskfork.prompt.generate.write import check_writes, generate, settings_of
from maskfork.prompt.generate.written import Written

__all__ = ["Settings", "Text", "Written", "check_writes", "generate", "settings_of", "write_texts"]
