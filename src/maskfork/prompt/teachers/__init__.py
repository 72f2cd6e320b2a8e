"""Teachers: language models behind an OpenAI-compatible endpoint, asked carefully and never paid twice.

Needs the extra `llm` (the `openai` client), which is imported only when the first call is made.
"""
