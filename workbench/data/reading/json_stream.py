"""JSON read value by value, so that a file of any size takes little memory."""

from __future__ import annotations

import json
import re
import reprlib
from collections.abc import Callable, Iterator
from typing import Any, TextIO

from pydantic_core import from_json

BLOCK = 2**18  #: characters that are read at a time; what they hold stays in the processor's cache
TAIL = 2**15  #: characters at a block's end in which the last end of an entry is looked for

_NEXT = re.compile(r"\}\s*,\s*\{")
_SPACE = re.compile(r"[ \t\n\r]*")


class NotJson(ValueError):
    """What a text has in place of the next value."""


class JsonStream:
    """A JSON text of which a block at a time is in memory.

    Args:
        file: opened for reading text, at its beginning.
        longest: characters of one value, above which it is taken for broken; None: as long as the file.
        parse_constant: what NaN and infinities are, as of `json.load`; `entries` does not ask it.
    """

    def __init__(
        self, file: TextIO, *, longest: int | None = None, parse_constant: Callable[[str], Any] | None = None
    ):
        self.file, self.longest = file, longest
        self._decode = json.JSONDecoder(parse_constant=parse_constant).raw_decode
        self._text, self._place, self._ended = "", 0, False
        self._one_by_one = False

    def peek(self) -> str:
        """The next character that is no space, or "" at the end."""
        while True:
            spaces = _SPACE.match(self._text, self._place)
            self._place = self._place if spaces is None else spaces.end()
            if self._place < len(self._text):
                return self._text[self._place]
            if not self._more():
                return ""

    def take(self, wanted: str) -> str:
        """The next character, one of `wanted`.

        Raises:
            NotJson: there is another one, or none.
        """
        found = self.peek()
        if not found or found not in wanted:
            raise NotJson(f"there is {self.rest()}" if found else "it ends")
        self._place += 1
        return found

    def value(self) -> Any:
        """The next value, whole.

        Raises:
            NotJson: there is none.
        """
        return self._value()[0]

    def entries_as_written(self) -> Iterator[tuple[Any, str]]:
        """The entries of the list that comes next, each with its text.

        Raises:
            NotJson: it is no list, or breaks off.
        """
        return self._list(self._written)

    def _written(self) -> list[tuple[Any, str]]:
        value, begin = self._value()
        return [(value, self._text[begin : self._place])]

    def _value(self) -> tuple[Any, int]:
        """The next value, and where in the block it begins."""
        if not self.peek():
            raise NotJson("it ends")
        while True:
            try:
                value, end = self._decode(self._text, self._place)
            except ValueError as error:  # also of a number with thousands of digits
                if not self._more():
                    raise NotJson(f"there is {self.rest()} ({getattr(error, 'msg', error)})") from None
                continue
            if len(self._text) - end <= 2 and self._more():
                continue  # a number may go on in the next block, also after "1e+"
            begin, self._place = self._place, end
            return value, begin

    def entries(self) -> Iterator[Any]:
        """The entries of the list that comes next, one by one.

        Raises:
            NotJson: it is no list, or breaks off.
        """
        return self._list(lambda: self._whole_entries() or [self.value()])

    def _list(self, some: Callable[[], list[Any]]) -> Iterator[Any]:
        """The list that comes next, of which `some` takes one entry or several from the stream."""
        self.take("[")
        if self.peek() == "]":
            self.take("]")
            return
        while True:
            yield from some()
            if self.take(",]") == "]":
                return

    def members(self) -> Iterator[str]:
        """The keys of the object that comes next; after each, its value must be taken from the stream.

        Raises:
            NotJson: it is no object, or breaks off.
        """
        self.take("{")
        if self.peek() == "}":
            self.take("}")
            return
        while True:
            if self.peek() != '"':
                raise NotJson(f"there is {self.rest()} in place of a key")
            key = self.value()
            self.take(":")
            yield key
            if self.take(",}") == "}":
                return

    def end(self) -> None:
        """Make sure that nothing more comes.

        Raises:
            NotJson: something does.
        """
        if self.peek():
            raise NotJson(f"there is {self.rest()} after the end")

    def rest(self) -> str:
        """What comes next, shortened, for messages."""
        return reprlib.repr(self._text[self._place : self._place + 200].strip())

    def _whole_entries(self) -> list[Any]:
        """The entries that end within this block, parsed at once: many calls for small values take longer.

        Pydantic's parser takes a third of the time of Python's; what it takes means the same to both. Where it
        refuses something that Python knows (half a pair of surrogates, 200 lists in each other), or where an end is
        looked for at the wrong place, in a text or deep in an entry, nothing is parsed.
        """
        if self._one_by_one or self.peek() != "{":
            return []
        ends = list(_NEXT.finditer(self._text, max(self._place, len(self._text) - TAIL)))
        if not ends:
            return []
        end = ends[-1].start() + 1
        try:
            entries = from_json(f"[{self._text[self._place : end]}]")
        except ValueError:
            self._one_by_one = True  # until the next block
            return []
        self._place = end
        return entries

    def _more(self) -> bool:
        """Read on; twice as much where a value is longer than a block, so that it is not parsed over and over."""
        left = len(self._text) - self._place
        if self._ended or (self.longest is not None and left > self.longest):
            return False
        block = self.file.read(max(BLOCK, left))
        if not block:
            self._ended = True
            return False
        self._text, self._place = self._text[self._place :] + block, 0
        self._one_by_one = False
        return True
