"""Our own errors: one sentence with the cause and the cure. The command line prints it and exits with `exit_code`."""

from __future__ import annotations


class MaskforkError(Exception):
    """Anything a user can put right; its text is one sentence with the cause and the cure."""

    exit_code = 2


class UsageError(MaskforkError):
    """A question that cannot be asked this way (an option, a value, a task for the wrong kind of model)."""


class DataError(MaskforkError):
    """A file, column, label or row that cannot be used."""


class ModelError(MaskforkError):
    """A checkpoint folder, family, tensor or configuration that cannot be used."""


class TokenizerError(MaskforkError):
    """A tokenizer that is missing or is not the model's."""


class KernelRefused(MaskforkError):  # noqa: N818 (it says what happened)
    """The attention kernel that the caller named cannot compute this mask, bias or output."""


class EndpointError(MaskforkError):
    """A language-model endpoint that cannot be reached, refuses, or has cost more than allowed."""
