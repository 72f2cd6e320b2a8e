"""Deciding: `maskfork compare` and what stands around it."""
