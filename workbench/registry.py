"""What there is of a kind, said once: the class that does it says its name, and everything else asks here.

A kind is registered where it is defined, at the top level of its room or in a plug-in (`workbench.plug_in`):

    from workbench.registry import HARDENERS

    @HARDENERS.register("centre-drop")
    class CentreDrop(Hardener): ...

The kinds of a room are read from the room's files, so that listing them imports nothing (torch takes seconds); a kind
is imported when it is first asked for. What a kind can do stands on its class (`Detector`, `Dataset`, `Hardener`).
"""

from __future__ import annotations

import copy
import inspect
import re
from collections.abc import Callable, Mapping
from functools import cached_property, wraps
from importlib import import_module
from pathlib import Path
from typing import Any, ClassVar, TypeVar, get_type_hints

from workbench.errors import DataError, RecipeError, WorkbenchError, nearest
from workbench.options import check_options

Made = TypeVar("Made", bound=Callable[..., Any])
PACKAGE = Path(__file__).parent


class Registry:
    """The kinds of one sort of thing.

    Args:
        variable: the name of this registry in this module, which its room's files use.
        room: package whose top-level files define kinds.
        place: key of the thing in recipes, for messages; None: the kind's own name.
        error: what is raised for a kind or option that does not exist.
    """

    additions: ClassVar[int] = 0  #: kinds of plug-ins so far, in all registries: what was found before may not hold

    def __init__(
        self, variable: str, room: str, *, place: str | None, error: type[WorkbenchError] = RecipeError
    ) -> None:
        self.variable, self.room, self.place, self.error = variable, room, place, error
        self._made: dict[str, Callable[..., Any]] = {}

    @cached_property
    def homes(self) -> dict[str, str]:
        """Kind → module, of those that come with the workbench, as their files say."""
        decorator = re.compile(rf'^@{self.variable}\.register\("([^"]+)"\)', re.MULTILINE)
        folder = PACKAGE.joinpath(*self.room.split(".")[1:])
        files = sorted(folder.glob("*.py"))
        return {
            kind: f"{self.room}.{path.stem}"
            for path in files
            for kind in decorator.findall(path.read_text(encoding="utf-8"))
        }

    def names(self) -> list[str]:
        """All kinds, those of plug-ins too, in alphabetical order."""
        return sorted({*self.homes, *self._made})

    def __contains__(self, kind: object) -> bool:
        return kind in self.homes or kind in self._made

    def __getitem__(self, kind: str) -> Any:
        """The class or function of a kind. Raises the registry's error for one that does not exist."""
        return self.find(kind, self.place)

    def find(self, kind: object, place: str | None = None) -> Any:
        """As `registry[kind]`, with the key of the thing that is said in the message."""
        if not isinstance(kind, str) or kind not in self:
            key = f"{place}.kind" if place else "kind"
            known = self.names()
            raise self.error(f"{key} {kind!r} does not exist{nearest(kind, known)}; choose one of {known}")
        if kind not in self._made:
            import_module(self.homes[kind])
        return self._made[kind]

    def class_of(self, kind: object) -> Any:
        """The class of what a kind makes: itself, or what a function says that it returns. It says what it can do."""
        made = self.find(kind, self.place)
        return made if inspect.isclass(made) else get_type_hints(inspect.unwrap(made))["return"]

    def options(self, kind: str) -> list[str]:
        """Names of what can be said of a kind in a recipe."""
        parameters = inspect.signature(constructor(self[kind])).parameters.values()
        return [one.name for one in parameters if one.kind is one.KEYWORD_ONLY]

    def register(self, kind: str) -> Callable[[Made], Made]:
        """Decorator of the class or function that is this kind; from then on its options are checked when it is made.

        Raises:
            RecipeError: the kind exists already. A plug-in that is loaded anew replaces its own kinds.
        """

        def add(made: Made) -> Made:
            old = self._made.get(kind)
            foreign = not made.__module__.startswith(f"{PACKAGE.name}.")
            if foreign and (kind in self.homes or _other_file(old, made)):
                raise RecipeError(f"there is a kind {kind!r} in {self.room} already; choose another name")
            made.kind = kind  # type: ignore[attr-defined]
            checked = _checked(made, self.place or kind, self.error)
            self._made[kind] = checked
            Registry.additions += foreign
            return checked

        return add

    def build(
        self, config: object, *arguments: Any, place: str | None = None, default: str | None = None, **given: Any
    ) -> Any:
        """What a section of a recipe describes.

        Args:
            config: the kind's name, or {"kind": ..., and its options}; "preset" takes the values of one of the
                class's `presets` first.
            arguments, given: what is not the recipe's, passed on.
            place: key of the section, for messages, where it is not the usual one.
            default: the kind where the section names none.

        Raises:
            RecipeError (or the registry's own): a kind, preset or option that does not exist, or a wrong value.
        """
        place = place or self.place or "options"
        if not isinstance(config, str | Mapping):
            raise self.error(f"{place} is {config!r}; expected a section of options, as {{kind: name}}")
        options = {"kind": config} if isinstance(config, str) else dict(copy.deepcopy(config))
        made = self.find(options.pop("kind", default), place)
        if options.get("preset") is not None:
            options = _preset(made, options.pop("preset"), place, self.error) | options
        options.pop("preset", None)
        maker = constructor(made)
        parameters = inspect.signature(maker).parameters
        fixed = [*list(parameters)[: len(arguments)], *given]
        options = check_options(place, maker, options, given=fixed, error=self.error, kind=made.kind)
        for name, one in parameters.items():
            if one.kind is one.KEYWORD_ONLY and one.default is one.empty and name not in {*options, *given}:
                raise self.error(f"{place}.{name} is missing; {made.kind} needs it")
        return maker(*arguments, **given, **options)


def constructor(made: Any) -> Callable[..., Any]:
    """What makes one from options: a class's `build` where it has one, else the class or function itself."""
    build: Any = getattr(made, "build", None) if inspect.isclass(made) else None
    return build if inspect.ismethod(build) else made  # a method of the class, not of its instances


def _other_file(old: Callable[..., Any] | None, new: Callable[..., Any]) -> bool:
    return old is not None and old.__module__ != new.__module__


def _preset(made: Any, name: object, place: str, error: type[WorkbenchError]) -> dict[str, Any]:
    presets = getattr(made, "presets", {})
    if name not in presets:
        there = f"choose one of {sorted(presets)}" if presets else "it has none"
        raise error(f"{place}.preset {name!r} does not exist for {made.kind}; {there}")
    return dict(presets[name])


def _checked(made: Any, place: str, error: type[WorkbenchError]) -> Any:
    """`made`, whose own `build`, else `__init__`, else itself, checks its keyword arguments first."""
    if not inspect.isclass(made):
        return _checking(made, made, place, error, first=())
    if isinstance(vars(made).get("build"), classmethod):
        build = vars(made)["build"].__func__
        checked = _building(_checking(build, build, place, error, first=("cls", "classes")))
        setattr(made, "build", classmethod(checked))  # noqa: B010, the checker knows no class that has it
    elif constructor(made) is made and "__init__" in vars(made):
        init = vars(made)["__init__"]
        made.__init__ = _checking(init, init, place, error, first=("self",))  # type: ignore[method-assign]
    return made


def _checking(
    function: Callable[..., Any],
    signature: Callable[..., Any],
    place: str,
    error: type[WorkbenchError],
    first: tuple[str, ...],
) -> Callable[..., Any]:
    @wraps(function)
    def checked(*arguments: Any, **options: Any) -> Any:
        own = {name: value for name, value in options.items() if name in by_name or name not in known}
        check_options(place, signature, own, given=first, error=error)
        return function(*arguments, **options)

    parameters = inspect.signature(signature).parameters.values()
    known = {one.name for one in parameters}
    by_name = {one.name for one in parameters if one.kind is one.KEYWORD_ONLY}
    return checked


def _building(build: Callable[..., Any]) -> Callable[..., Any]:
    """A detector's `build`, which keeps the options as its `config`."""

    @wraps(build)
    def built(cls: type, classes: Any, **options: Any) -> Any:
        detector = build(cls, classes, **options)
        detector.config = {"kind": cls.kind, **copy.deepcopy(options)}  # type: ignore[attr-defined]
        return detector

    return built


def _registry(variable: str, room: str, place: str | None, error: type[WorkbenchError] = RecipeError) -> Registry:
    return Registry(variable, f"workbench.{room}", place=place, error=error)


DETECTORS = _registry("DETECTORS", "detectors", "detector")
HARDENERS = _registry("HARDENERS", "hardeners", "hardener")
DATASETS = _registry("DATASETS", "data", None, DataError)
PROPOSALS = _registry("PROPOSALS", "proposals", "proposals", DataError)
LOSSES = _registry("LOSSES", "losses", "loss")
NORMALISERS = _registry("NORMALISERS", "losses", "normaliser")
MINING = _registry("MINING", "losses", "roi.mining")
ANCHOR_MINING = _registry("ANCHOR_MINING", "losses", "mining")
