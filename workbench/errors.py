"""Errors that a user can act on. Each message names the file, key or object, what was expected and what to do."""

from __future__ import annotations

import difflib
from collections.abc import Sequence


class WorkbenchError(ValueError):
    """Base of all errors that the workbench raises for bad input."""


class DataError(WorkbenchError):
    """A data set, an image or an annotation is not what it should be."""


class RecipeError(WorkbenchError):
    """A recipe asks for something that does not exist or does not fit together."""


class RunError(WorkbenchError):
    """A run cannot be started, found, resumed or read."""


class WeightsError(WorkbenchError):
    """A file of weights cannot be read or does not fit the detector."""


def nearest(word: object, known: Sequence[str]) -> str:
    """ " (did you mean 'x'?)", if a known word is near the misspelt one."""
    close = _close(word, known)
    return f" (did you mean {close!r}?)" if close else ""


def did_you_mean(word: object, known: Sequence[str]) -> str:
    """The end of a message about a misspelt word: the nearest known one, and all that are known."""
    close = _close(word, known)
    hint = f"; did you mean {close!r}?" if close else ""
    return f"{hint} (known: {', '.join(known)})" if known else hint


def _close(word: object, known: Sequence[str]) -> str | None:
    return next(iter(difflib.get_close_matches(str(word), known, n=1, cutoff=0.5)), None)
