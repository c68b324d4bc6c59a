"""Options from a recipe, held against the signature of what takes them: names, types and ranges.

A signature says the type of an option as Python does, and its range by one of the types here.
"""

from __future__ import annotations

import inspect
import json
from collections.abc import Callable, Collection, Mapping
from functools import cache
from typing import Annotated, Any, get_type_hints

from pydantic import Field, TypeAdapter, ValidationError
from pydantic.errors import PydanticSchemaGenerationError

from workbench.errors import RecipeError, WorkbenchError, nearest

Count = Annotated[int, Field(ge=1, le=10**9)]  #: of things, pixels or cells
Depth = Annotated[int, Field(ge=1, le=1000)]  #: layers or blocks, one after another
Share = Annotated[float, Field(ge=0, le=1)]  #: of a whole; also an IoU and a score
Size = Annotated[float, Field(gt=0, allow_inf_nan=False)]  #: pixels, or a ratio
Factor = Annotated[float, Field(ge=0, allow_inf_nan=False)]
Part = Annotated[float, Field(ge=0, lt=1)]  #: of a whole that is never all of it
Fraction = Annotated[float, Field(gt=0, lt=1)]  #: of a whole, neither none nor all of it
Overlap = Annotated[float, Field(gt=0, le=1)]  #: an IoU that can be exceeded
Number = Annotated[int, Field(ge=0)]  #: of things that may be none; also a seed
Offset = Annotated[float, Field(allow_inf_nan=False)]  #: of either sign


VARIABLE = (inspect.Parameter.VAR_KEYWORD, inspect.Parameter.VAR_POSITIONAL)


def has_options(function: Callable[..., Any]) -> bool:
    """Whether it takes `**options` of any name; one that takes any arguments says nothing of its own."""
    shapes = {one.kind for one in inspect.signature(function).parameters.values()}
    return inspect.Parameter.VAR_KEYWORD in shapes and inspect.Parameter.VAR_POSITIONAL not in shapes


def check_options(
    place: str,
    function: Callable[..., Any],
    options: object,
    *,
    given: Collection[str] = (),
    error: type[WorkbenchError] = RecipeError,
    kind: str | None = None,
) -> dict[str, Any]:
    """`options` as a dict, if `function` takes each of them by its name and type.

    Args:
        place: key of the options in a recipe, for messages.
        function: what they are for; its signature says names, types and ranges.
        given: parameters that are not the recipe's.
        error: what is raised.
        kind: the name of what takes them, for messages.

    Raises:
        RecipeError (or `error`): names the key, what was expected and what came.
    """
    if not isinstance(options, Mapping):
        raise error(f"{place} is {_short(options)}; expected a section of options, as {{name: value}}")
    parameters = inspect.signature(function).parameters
    known = [name for name, one in parameters.items() if one.kind not in VARIABLE and name not in given]
    for name, value in options.items():
        if name in known:
            check_value(f"{place}.{name}", function, name, value, error=error)
        elif not has_options(function):
            no = f"is not an option of {kind}" if kind not in (None, place) else "does not exist"
            there = f"choose from {', '.join(known)}" if known else "it has none"
            raise error(f"{place}.{name} {no}{nearest(name, known)}; {there}")
    return dict(options)


def check_value(
    place: str, function: Callable[..., Any], name: str, value: object, *, error: type[WorkbenchError] = RecipeError
) -> None:
    """Refuse a value that is not what `function` expects as `name`.

    Args:
        place: what the message calls it.
        error: what is raised.

    Raises:
        WorkbenchError: the value is something else; it is an `error`.
    """
    adapter = _adapter(function, name)
    try:
        text = json.dumps(value, default=_plain)  # strict JSON takes lists for tuples, but no text for numbers
        adapter.validate_json(text, strict=True)
    except ValidationError as reason:
        wrong = list(dict.fromkeys(_words(one) for one in reason.errors(include_url=False)))
        raise error(f"{place} is {_short(value)}; expected {' or '.join(wrong)}") from reason
    except (TypeError, ValueError, RecursionError) as reason:  # keys that are no text, lists within themselves
        raise error(f"{place} is {_short(value)}; expected plain values ({reason})") from reason


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


def _words(error: Mapping[str, Any]) -> str:
    """Such as "a valid integer" or "at least 1"."""
    limits = {"greater_than_equal": ("at least", "ge"), "greater_than": ("more than", "gt")}
    limits |= {"less_than_equal": ("at most", "le"), "less_than": ("less than", "lt")}
    if error["type"] in limits:
        word, key = limits[error["type"]]
        return f"{word} {error['ctx'][key]:g}"
    text = error["msg"].removeprefix("Input should be ")
    return "null" if text == "None" else text


def _short(value: object) -> str:
    text = repr(value)
    return text if len(text) <= 80 else f"{text[:77]}..."


def with_options_of(parent: Callable[..., Any]) -> Callable[[Callable[..., Any]], Callable[..., Any]]:
    """For a function that hands **options on to `parent`: its signature has those of `parent` as well."""

    def decorate(function: Callable[..., Any]) -> Callable[..., Any]:
        own = inspect.signature(function).parameters
        more = inspect.signature(parent).parameters
        kept = [one for one in own.values() if one.kind is not one.VAR_KEYWORD]
        added = [
            one.replace(kind=one.KEYWORD_ONLY)
            for name, one in more.items()
            if one.kind in (one.POSITIONAL_OR_KEYWORD, one.KEYWORD_ONLY) and name not in own
        ]
        function.__signature__ = inspect.Signature([*kept, *added])  # type: ignore[attr-defined]
        hints = get_type_hints(inspect.unwrap(getattr(parent, "__func__", parent)), include_extras=True)
        function.__annotations__ |= {one.name: hints[one.name] for one in added if one.name in hints}
        return function

    return decorate
