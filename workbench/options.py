"""Options from a recipe, held against the signature of what takes them: names, types and ranges.

A signature says the type of an option as Python does, and its range by one of the types here.
"""

from __future__ import annotations

import copy
import inspect
import json
from collections.abc import Callable, Collection
from functools import cache, partial, wraps
from typing import Annotated, Any, get_type_hints

from pydantic import Field, TypeAdapter, ValidationError
from pydantic.errors import PydanticSchemaGenerationError

from workbench.errors import RecipeError

Count = Annotated[int, Field(ge=1)]  #: of things, pixels or cells
Share = Annotated[float, Field(ge=0, le=1)]  #: of a whole; also an IoU and a score
Size = Annotated[float, Field(gt=0, allow_inf_nan=False)]  #: pixels, or a ratio
Factor = Annotated[float, Field(ge=0, allow_inf_nan=False)]


def check_options(
    place: str, function: Callable[..., Any], options: object, *, given: Collection[str] = ()
) -> dict[str, Any]:
    """`options` as a dict, if `function` takes each of them by its name and type.

    Args:
        place: key of the options in a recipe, for messages.
        given: parameters that are not the recipe's.

    Raises:
        RecipeError: names the key, what was expected and what came.
    """
    if not isinstance(options, dict):
        raise RecipeError(f"{place} is {_short(options)}; expected a section of options, as {{name: value}}")
    parameters = inspect.signature(function).parameters
    open_ended = any(one.kind is one.VAR_KEYWORD for one in parameters.values())
    known = [name for name, one in parameters.items() if one.kind is not one.VAR_KEYWORD and name not in given]
    for name, value in options.items():
        if name in known:
            check_value(f"{place}.{name}", function, name, value)
        elif not open_ended:
            raise RecipeError(f"{place}.{name} does not exist; choose from {', '.join(known)}")
    return dict(options)


def check_value(place: str, function: Callable[..., Any], name: str, value: object) -> None:
    """Raise a RecipeError unless `value` is what `function` expects as `name`."""
    adapter = _adapter(function.func if isinstance(function, partial) else function, name)
    try:
        text = json.dumps(value, default=_plain)  # strict JSON takes lists for tuples, but no text for numbers
        adapter.validate_json(text, strict=True)
    except ValidationError as error:
        wrong = list(dict.fromkeys(_words(one) for one in error.errors(include_url=False)))
        raise RecipeError(f"{place} is {_short(value)}; expected {' or '.join(wrong)}") from error
    except (TypeError, ValueError, RecursionError) as error:  # keys that are no text, lists within themselves
        raise RecipeError(f"{place} is {_short(value)}; expected plain values ({error})") from error


@cache
def _adapter(function: Callable[..., Any], name: str) -> TypeAdapter:
    """What checks an option; anything passes where the type is none of plain values."""
    target = function.__init__ if inspect.isclass(function) else function
    try:
        kind = get_type_hints(target, include_extras=True).get(name, Any)
        default = inspect.signature(function).parameters[name].default
        return TypeAdapter(kind | None if default is None else kind)
    except (NameError, TypeError, PydanticSchemaGenerationError):
        return TypeAdapter(Any)


def _plain(value: Any) -> Any:
    """Numbers and arrays of numpy and torch, and ranges, as JSON has them; the rest as text."""
    if hasattr(value, "tolist"):
        return value.tolist()
    return list(value) if isinstance(value, range) else str(value)


def _words(error: dict[str, Any]) -> str:
    """Such as "a valid integer" or "greater than 0"."""
    text = error["msg"].removeprefix("Input should be ")
    return "null" if text == "None" else text


def _short(value: object) -> str:
    text = repr(value)
    return text if len(text) <= 80 else f"{text[:77]}..."


def buildable(kind: str) -> Callable[[Callable[..., Any]], Callable[..., Any]]:
    """For a detector's `build`: its options are checked first, and are its `config` afterwards."""

    def decorate(build: Callable[..., Any]) -> Callable[..., Any]:
        @wraps(build)
        def checked(cls: type, classes: Collection[str], **options: Any) -> Any:
            check_options("detector", build, options, given=("cls", "classes"))
            detector = build(cls, classes, **options)
            detector.config = {"kind": kind, **copy.deepcopy(options)}
            return detector

        return checked

    return decorate
