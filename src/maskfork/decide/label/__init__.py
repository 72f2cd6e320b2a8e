"""Texts labelled by a teacher: rows in, the same rows with labels out, nothing paid twice."""
