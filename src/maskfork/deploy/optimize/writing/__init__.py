"""Decoders: what can read tokens for them here, and whether it still writes as the model does.

rows.py     texts and prompts as tokens, and where what is compared begins; rows of a described task with their labels
forms.py    torch, our own C++ and llama.cpp, each in its bits, with caches, threads and texts written together
opened.py   a decoder as it is measured: tokens written, and said along what the rows have
gate.py     are the likeliest tokens the same, and what the true ones lose
"""
