"""The text of a COCO file of which little changes from one writing to the next: the text of each entry is kept."""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping
from functools import partial
from pathlib import Path
from typing import Any, TextIO

from workbench.data.annotations import LISTS, CocoFile, Id, Sort, no_number
from workbench.data.reading.json_stream import JsonStream
from workbench.data.reading.paths import read_json

_SORTS: dict[str, Sort] = {key: sort for sort, key in LISTS.items()}


class CocoText:
    """The texts of the entries of a file; those that were changed are to be forgotten."""

    def __init__(self) -> None:
        self._texts: dict[Sort, dict[Id, bytes]] = {sort: {} for sort in LISTS}

    def read(self, path: Path) -> CocoFile:
        """A file, of whose entries the texts are kept as they stand there.

        Raises:
            DataError: it cannot be read, or is no COCO file of objects; it is named.
        """
        texts: dict[str, list[bytes]] = {}
        file = CocoFile(read_json(path, load=partial(_taken_apart, texts)), path)
        self._texts = {sort: dict(zip(_entries(file, sort), texts[key], strict=True)) for sort, key in LISTS.items()}
        return file

    def forget(self, sort: Sort, identity: Id) -> None:
        """An entry was changed, added or removed."""
        self._texts[sort].pop(identity, None)

    def whole(self, file: CocoFile, **more: Any) -> Iterator[bytes]:
        """The parts of the file as JSON, with further keys at its top level.

        Raises:
            TypeError, ValueError: a value is none that JSON has.
        """
        before = b"{"
        for key, value in {**file.content, **more}.items():
            yield before + _json(key) + b": "
            sort = _SORTS.get(key)
            if sort is None:
                yield _json(value)
            else:
                yield b"["
                yield b", ".join(self._listed(sort, _entries(file, sort)))  # of most files all but a few bytes
                yield b"]"
            before = b", "
        yield b"}\n"

    def _listed(self, sort: Sort, entries: Mapping[Id, dict[str, Any]]) -> list[bytes]:
        texts = self._texts[sort]
        for identity in entries.keys() - texts.keys():
            texts[identity] = _json(entries[identity])
        return [texts[identity] for identity in entries]


def _taken_apart(texts: dict[str, list[bytes]], file: TextIO) -> Any:
    """What `json.load` gives; the texts of the entries of each list go to `texts`."""
    stream = JsonStream(file, parse_constant=no_number)
    if stream.peek() != "{":
        return stream.value()
    content: dict[str, Any] = {}
    for key in stream.members():
        if key in _SORTS and stream.peek() == "[":
            pairs = [*stream.entries_as_written()]
            content[key], texts[key] = [entry for entry, _ in pairs], [text.encode() for _, text in pairs]
        else:
            content[key] = stream.value()
    stream.end()
    return content


def _json(value: Any) -> bytes:
    return json.dumps(value, allow_nan=False).encode("ascii")


def _entries(file: CocoFile, sort: Sort) -> Mapping[Id, dict[str, Any]]:
    return {"image": file.images, "category": file.categories, "annotation": file.annotations}[sort]
