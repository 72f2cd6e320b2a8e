"""Labelled data: read, understood, checked for doubles, split; all that was assumed is said."""
