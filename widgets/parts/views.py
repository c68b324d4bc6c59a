"""Views of a widget in files: its state as JSON, by itself or within a picture of it.

Such files come from anywhere, so whatever is read is checked before it is used.
"""

from __future__ import annotations

import base64
import binascii
import json
import re
from collections.abc import Mapping
from os import PathLike
from pathlib import Path
from typing import Any

import traitlets

from workbench.errors import DataError
from workbench.files import user_path
from workbench.training.recording.environment import package_version

MARK = "workbench-view:"  #: before a view, as base64, in what describes a picture
LARGEST = 50_000_000  #: bytes of a file that may hold a view
_NOTE = re.compile(rb"workbench-view:([A-Za-z0-9+/]+={0,2})")


def as_view(widget: str, state: Mapping[str, Any]) -> dict[str, Any]:
    """What is kept of a widget: the name of its class, the version of the workbench, and its state."""
    return {"widget": widget, "version": package_version(), "state": dict(state)}


def as_note(view: Mapping[str, Any]) -> str:
    """A view as words that any kind of picture can hold."""
    return MARK + base64.b64encode(json.dumps(view, allow_nan=False).encode()).decode()


def read_state(path: str | PathLike[str], widget: str) -> dict[str, Any]:
    """The state in a JSON file, or in a picture that was saved with it.

    Args:
        path: of the file.
        widget: the name of the class that it is wanted for.

    Raises:
        DataError: the file cannot be read, holds no view, or one of another widget.
    """
    file = user_path(path, DataError)
    try:
        if file.stat().st_size > LARGEST:
            raise DataError(f"{file} has more than {LARGEST // 10**6} MB, which no view has; give a saved view")
        content = file.read_bytes()
    except OSError as error:
        raise DataError(f"{file} cannot be read: {error.strerror or error}; give the path of a saved view") from error
    view = _parsed(content, file)
    if not isinstance(view, dict) or not isinstance(view.get("widget"), str):
        raise DataError(f"{file}: there is no key 'widget' with a name; give a file that save_view has written")
    if view["widget"] != widget:
        raise DataError(f"{file}: widget is {view['widget']!r:.60}; this is a view for another widget than {widget}")
    if not isinstance(state := view.get("state"), dict):
        raise DataError(f"{file}: state is {state!r:.60}; expected an object of names and values")
    return state


def _parsed(content: bytes, file: Path) -> Any:
    """The JSON of a file, or that in a picture."""
    if not content.lstrip().startswith(b"{"):
        if (found := _NOTE.search(content)) is None:
            raise DataError(f"{file} holds no view; give a JSON file or picture that save_view has written")
        content = found[1]
        try:
            content = base64.b64decode(content, validate=True)
        except binascii.Error as error:
            raise DataError(f"{file}: the view in this picture is broken ({error}); save it anew") from error
    try:
        return json.loads(content, parse_constant=_no_number)
    except (ValueError, RecursionError) as error:  # also where it is no UTF-8
        raise DataError(f"{file} is no JSON: {error}; give a file that save_view has written") from error


def _no_number(text: str) -> None:
    raise ValueError(f"{text} is no number in JSON")


def check_types(widget: traitlets.HasTraits, names: tuple[str, ...], state: Mapping[str, Any], file: object) -> None:
    """See whether the values could be those of the traitlets, before any is set.

    Raises:
        DataError: a name or a type that the widget does not have.
    """
    for name, value in state.items():
        if name not in names:
            raise DataError(f"{file}: state has {name!r:.60}; {type(widget).__name__} has {', '.join(names)}")
        trait = widget.traits().get(name)
        try:
            if isinstance(value, bool) and not isinstance(trait, traitlets.Bool):
                raise traitlets.TraitError("true and false are no values of it")
            if trait is not None:
                with widget.cross_validation_lock:
                    trait._validate(widget, value)
        except (traitlets.TraitError, OverflowError) as error:
            raise DataError(f"{file}: state.{name} is {value!r:.60}: {error}") from error
