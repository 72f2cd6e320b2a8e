"""Checkpoints in and out: weight tables, families, heads, tokenizers, the Hub."""
