"""What a campaign of spoilt inputs is made of: how values and bytes are changed, and what may come of it.

Each test of this folder changes something that a user may hand in, and lets nothing through but a result or an error
of the workbench, in bounded time and memory. The cases are the same in every run; `make fuzz` tries many times as
many, and other ones each time.
"""

from __future__ import annotations

import copy
import os
import resource
import signal
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager, suppress
from typing import Any

from hypothesis import HealthCheck, settings
from hypothesis import strategies as st

from workbench.errors import WorkbenchError

FACTOR = int(os.environ.get("FUZZ", "1"))
SECONDS, MEMORY = 30, 3 * 2**30  #: of one case, at most

#: Values that stand where others were expected.
STRANGE: list[Any] = [
    None, True, False, -1, 0, 1, 7, 2.5, -1e30, 1e30, 10**30, float("inf"), float("nan"),
    "", "x", "1", "nan", "../..", "\x00", "ü\ud800", "x" * 5000,
    [], [1], ["x"], [None], [-1], [0, 0], [[1]], [1, 2, 3, 4, 5, 6, 7], {}, {"x": 1}, {"kind": "x"}, {"name": None},
]  # fmt: skip


def cases(number: int) -> Callable[[Any], Any]:
    """Settings of a test of so many cases."""
    return settings(
        max_examples=number * FACTOR,
        derandomize=FACTOR == 1,
        deadline=None,
        database=None,
        suppress_health_check=list(HealthCheck),
    )


def places(document: Any) -> list[tuple[Any, ...]]:
    """Where the values of a document of lists and dicts are, its own place left out."""
    if not isinstance(document, dict | list):
        return []
    inner = document.items() if isinstance(document, dict) else enumerate(document)
    return [place for key, value in inner for place in ((key,), *((key, *more) for more in places(value)))]


@st.composite
def changed(draw: Any, document: Any, keys: tuple[str, ...] = (), values: Sequence[Any] = STRANGE) -> Any:
    """A document with one to three values replaced, dropped, doubled, or put under another key, also of `keys`."""
    document = copy.deepcopy(document)
    for _ in range(draw(st.integers(1, 3))):
        known = places(document)
        if not known:
            break
        place = draw(st.sampled_from(known))
        parent = document
        for key in place[:-1]:
            parent = parent[key]
        key, action = place[-1], draw(st.sampled_from(["replace", "replace", "drop", "double", "move"]))
        if action == "replace":
            parent[key] = copy.deepcopy(draw(st.sampled_from(values)))
        elif action == "drop":
            del parent[key]
        elif isinstance(parent, list):
            parent.insert(draw(st.integers(0, len(parent))), copy.deepcopy(parent[key]))
        else:
            other = draw(st.sampled_from([*parent, *keys, "x", ""]))
            parent[other] = copy.deepcopy(parent[key])
    return document


@st.composite
def damaged(draw: Any, content: bytes) -> bytes:
    """Bytes with one to four of these: a bit flipped, a part cut out, doubled, overwritten or left off at the end."""
    spoilt = bytearray(content)
    for _ in range(draw(st.integers(1, 4))):
        if not spoilt:
            break
        start = draw(st.integers(0, len(spoilt) - 1))
        end = min(len(spoilt), start + draw(st.integers(1, 64)))
        action = draw(st.sampled_from(["flip", "flip", "cut", "double", "overwrite", "end"]))
        if action == "flip":
            spoilt[start] ^= 1 << draw(st.integers(0, 7))
        elif action == "cut":
            del spoilt[start:end]
        elif action == "double":
            spoilt[start:start] = spoilt[start:end]
        elif action == "overwrite":
            spoilt[start:end] = draw(st.binary(min_size=end - start, max_size=end - start))
        else:
            del spoilt[start:]
    return bytes(spoilt)


@contextmanager
def only_own_errors() -> Iterator[None]:
    """Lets errors of the workbench pass as an answer; whatever else is raised fails the test, as does a long wait."""

    def late(*_: Any) -> None:
        raise AssertionError(f"more than {SECONDS} seconds")

    with open("/proc/self/statm", encoding="ascii") as file:
        now = int(file.read().split()[0]) * resource.getpagesize()
    limits = resource.getrlimit(resource.RLIMIT_AS)
    previous = signal.signal(signal.SIGALRM, late)
    signal.alarm(SECONDS)
    resource.setrlimit(resource.RLIMIT_AS, (now + MEMORY, limits[1]))
    try:
        with suppress(WorkbenchError):
            yield
    finally:
        resource.setrlimit(resource.RLIMIT_AS, limits)
        signal.alarm(0)
        signal.signal(signal.SIGALRM, previous)
