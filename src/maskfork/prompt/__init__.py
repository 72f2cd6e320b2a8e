"""Prompting: templates, shots, label words scored by likelihood, teachers."""
