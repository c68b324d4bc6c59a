"""The text of a COCO file of which little changes from one writing to the next: the text of each entry is kept."""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping
from typing import Any

from workbench.data.annotations import LISTS, CocoFile, Id, Sort

_SORTS: dict[str, Sort] = {key: sort for sort, key in LISTS.items()}


class CocoText:
    """The texts of the entries of a file; those that were changed are to be forgotten."""

    def __init__(self) -> None:
        self._texts: dict[Sort, dict[Id, bytes]] = {sort: {} for sort in LISTS}

    def forget(self, sort: Sort, identity: Id) -> None:
        """An entry was changed, added or removed."""
        self._texts[sort].pop(identity, None)

    def forget_others(self, before: CocoFile, now: CocoFile) -> None:
        """The file was read anew: keep the texts of what is as it was."""
        for sort in LISTS:
            old, new = _entries(before, sort), _entries(now, sort)
            texts = self._texts[sort]
            self._texts[sort] = {one: text for one, text in texts.items() if one in new and new[one] == old.get(one)}

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


def _json(value: Any) -> bytes:
    return json.dumps(value, allow_nan=False).encode("ascii")


def _entries(file: CocoFile, sort: Sort) -> Mapping[Id, dict[str, Any]]:
    return {"image": file.images, "category": file.categories, "annotation": file.annotations}[sort]
