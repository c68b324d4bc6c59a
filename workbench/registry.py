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
import sys
from collections.abc import Callable, Collection, Iterator, Mapping
from contextlib import contextmanager
from functools import cached_property, wraps
from importlib import import_module
from pathlib import Path
from typing import Any, ClassVar, TypeVar, get_type_hints

from workbench.errors import DataError, RecipeError, WorkbenchError, nearest
from workbench.options import check_options, has_options, with_options_of

Made = TypeVar("Made", bound=Callable[..., Any])
PACKAGE = Path(__file__).parent
OWN = "one of your own is known after plug_in(FILE), or where WORKBENCH_PLUGINS names its file"


class Registry:
    """The kinds of one sort of thing.

    Args:
        variable: the name of this registry, which its room's files use.
        room: package whose top-level files define kinds; None: what is imported anyway defines them.
        place: key of the thing in recipes, for messages; None: the kind's own name.
        arguments: parameters of what makes one that are not the recipe's.
        key: how messages call the kind; None: `place` with ".kind".
        error: what is raised for a kind or option that does not exist.
    """

    all: ClassVar[list[Registry]] = []
    changes: ClassVar[int] = 0  #: kinds of plug-ins that came or went: what was found before may not hold

    def __init__(
        self,
        variable: str,
        room: str | None,
        *,
        place: str | None,
        arguments: tuple[str, ...] = (),
        key: str | None = None,
        error: type[WorkbenchError] = RecipeError,
    ) -> None:
        self.variable, self.room, self.place, self.arguments, self.error = variable, room, place, arguments, error
        self.key = key or f"{place}.kind"
        self._made: dict[str, Callable[..., Any]] = {}
        Registry.all.append(self)

    @cached_property
    def homes(self) -> dict[str, str]:
        """Kind → module, of those that come with the workbench, as their files say."""
        if self.room is None:
            return {}
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
        return isinstance(kind, str) and (kind in self.homes or kind in self._made)

    def __getitem__(self, kind: str) -> Any:
        """The class or function of a kind. Raises the registry's error for one that does not exist."""
        return self.find(kind)

    def find(self, kind: object, key: str | None = None) -> Any:
        """As `registry[kind]`, with the key that the message names, where it is not the usual one."""
        if not isinstance(kind, str) or kind not in self:
            known = self.names()
            close = nearest(kind, known)
            own = "" if close or self.room is None else f"; {OWN}"
            raise self.error(f"{key or self.key} {kind!r} does not exist{close}; choose one of {known}{own}")
        if kind not in self._made:
            import_module(self.homes[kind])
        return self._made[kind]

    def class_of(self, kind: object) -> Any:
        """The class of what a kind makes: itself, or what a function says that it returns. It says what it can do.

        Raises:
            RecipeError (or the registry's own): there is no such kind, or its function does not say what it returns.
        """
        made = self.find(kind)
        if inspect.isclass(made):
            return made
        try:
            found = get_type_hints(inspect.unwrap(made)).get("return")
        except NameError:  # of a class that is imported for the type checker only
            found = None
        if not inspect.isclass(found):
            raise self.error(
                f"{kind}: {made.__name__} does not say which class it returns; annotate it, as -> Dataset"
            )
        return found

    def options(self, kind: str) -> list[str]:
        """Names of what can be said of a kind in a recipe."""
        parameters = inspect.signature(constructor(self[kind])).parameters.values()
        return [one.name for one in parameters if _is_option(one) and one.name not in self.arguments]

    def register(self, kind: str) -> Callable[[Made], Made]:
        """Decorator of the class or function that is this kind; from then on its options are checked when it is made.

        Where it hands `**options` on to its parent, it has the options of its parent as well.

        Raises:
            RecipeError: the kind exists already, or the class is another kind already. A plug-in that is loaded anew
                replaces its own kinds.
        """

        def add(made: Made) -> Made:
            other = vars(made).get("kind") or kind
            if other != kind:
                raise RecipeError(f"{made.__name__} is the kind {other!r} already; register a class of its own")
            home, old = self.homes.get(kind), self._made.get(kind)
            if made.__module__ != (home or made.__module__) or (old is not None and _file(old) != _file(made)):
                raise RecipeError(f"{self.key} {kind!r} exists already; choose another name")
            made.kind = kind  # type: ignore[attr-defined]
            self._made[kind] = checked = _checked(made, self.place or kind, self.arguments, self.error)
            Registry.changes += not made.__module__.startswith(f"{PACKAGE.name}.")
            return checked

        return add

    def check(
        self,
        config: object,
        *,
        given: Collection[str] | None = None,
        place: str | None = None,
        default: str | None = None,
    ) -> tuple[Any, dict[str, Any]]:
        """What makes that which a section of a recipe describes, and with which options.

        Args:
            config: the kind's name, or {"kind": ..., and its options}; "preset" takes the values of one of the
                class's `presets` first.
            given: parameters that are not the recipe's; None: the registry's `arguments`.
            place: key of the section, for messages, where it is not the usual one.
            default: the kind where the section names none.

        Raises:
            RecipeError (or the registry's own): a kind, preset or option that does not exist, is missing or is wrong.
        """
        if not isinstance(config, str | Mapping):
            section = place or self.place or self.key
            raise self.error(f"{section} is {config!r}; expected a section of options, as {{kind: name}}")
        options = {"kind": config} if isinstance(config, str) else dict(copy.deepcopy(config))
        made = self.find(options.pop("kind", default), f"{place}.kind" if place and self.place else None)
        place = place or self.place or made.kind
        options = with_preset(made, options, place, self.error)
        maker = constructor(made)
        given = self.arguments if given is None else given
        options = check_options(place, maker, options, given=given, error=self.error, kind=made.kind)
        for name, one in inspect.signature(maker).parameters.items():
            if _is_needed(one) and name not in {*options, *given}:
                raise self.error(f"{place}.{name} is missing; {made.kind} needs it")
        return maker, options

    def build(
        self, config: object, *arguments: Any, place: str | None = None, default: str | None = None, **given: Any
    ) -> Any:
        """What a section of a recipe describes.

        Args:
            config, place, default: see `check`.
            arguments: those of the registry's `arguments`, in that order.
            given: what else is not the recipe's, by name.

        Raises:
            RecipeError (or the registry's own): see `check`.
        """
        handed = dict(zip(self.arguments, arguments, strict=False)) | given
        maker, options = self.check(config, given=handed, place=place, default=default)
        for name in () if has_options(maker) else handed:
            if name not in inspect.signature(maker).parameters:
                raise self.error(f"{maker.__qualname__} takes no {name!r}; give it a parameter of that name")
        return maker(**handed, **options)


def constructor(made: Any) -> Callable[..., Any]:
    """What makes one from options: a class's `build` where it has one, else the class or function itself."""
    build: Any = getattr(made, "build", None) if inspect.isclass(made) else None
    return build if inspect.ismethod(build) else made  # a method of the class, not of its instances


def with_preset(
    made: Any, options: Mapping[str, Any], place: str, error: type[WorkbenchError] = RecipeError
) -> dict[str, Any]:
    """Options with the values of the "preset" that they name, but for what they say themselves.

    Raises:
        WorkbenchError: the class has no such preset; it is an `error`.
    """
    name, own = options.get("preset"), {key: value for key, value in options.items() if key != "preset"}
    presets = getattr(made, "presets", {})
    if name is None:
        return own
    if not isinstance(name, str) or name not in presets:
        there = f"choose one of {sorted(presets)}" if presets else "it has none"
        raise error(f"{place}.preset {name!r} does not exist for {made.kind or made.__name__}; {there}")
    return {**presets[name], **own}


@contextmanager
def all_or_none() -> Iterator[None]:
    """What the block registers is forgotten where it raises."""
    before = [(registry, dict(registry._made)) for registry in Registry.all]
    try:
        yield
    except BaseException:
        for registry, made in before:
            registry._made = made
        raise


def forget(module: str) -> None:
    """Drop the kinds that a module has registered: it will be executed anew, and may have other ones."""
    for registry in Registry.all:
        registry._made = {kind: made for kind, made in registry._made.items() if made.__module__ != module}
    Registry.changes += 1


def _file(made: Callable[..., Any]) -> str:
    return getattr(sys.modules.get(made.__module__), "__file__", None) or made.__module__


def _is_option(one: inspect.Parameter) -> bool:
    return one.kind is one.KEYWORD_ONLY or (one.kind is one.POSITIONAL_OR_KEYWORD and one.default is not one.empty)


def _is_needed(one: inspect.Parameter) -> bool:
    return one.kind in (one.KEYWORD_ONLY, one.POSITIONAL_OR_KEYWORD) and one.default is one.empty


def _checked(made: Any, place: str, arguments: tuple[str, ...], error: type[WorkbenchError]) -> Any:
    """`made`, whose own `build`, else `__init__`, else itself, checks its options first."""
    if not inspect.isclass(made):
        return _checking(made, place, arguments, error)
    if isinstance(vars(made).get("build"), classmethod):
        build = _with_options_of_parent(made, "build", vars(made)["build"].__func__)
        built = _building(_checking(build, place, ("cls", *arguments), error))
        setattr(made, "build", classmethod(built))  # noqa: B010, the checker knows no class that has it
    elif constructor(made) is made and "__init__" in vars(made):
        init = _with_options_of_parent(made, "__init__", vars(made)["__init__"])
        made.__init__ = _checking(init, place, ("self", *arguments), error)  # type: ignore[method-assign]
    return made


def _with_options_of_parent(made: type, name: str, function: Callable[..., Any]) -> Callable[..., Any]:
    return with_options_of(getattr(super(made, made), name))(function) if has_options(function) else function


def _checking(
    function: Callable[..., Any], place: str, arguments: tuple[str, ...], error: type[WorkbenchError]
) -> Callable[..., Any]:
    """`function`, which checks its options first, also those that are given by position."""

    @wraps(function)
    def checked(*given: Any, **options: Any) -> Any:
        said = dict(zip(by_position, given, strict=False)) | options
        own = {name: value for name, value in said.items() if name in checkable or name not in known}
        check_options(place, function, own, given=arguments, error=error)
        return function(*given, **options)

    parameters = inspect.signature(function).parameters.values()
    known = {one.name for one in parameters}
    by_position = [one.name for one in parameters if one.kind in (one.POSITIONAL_ONLY, one.POSITIONAL_OR_KEYWORD)]
    checkable = {one.name for one in parameters if _is_option(one)} - {*arguments}
    return checked


def _building(build: Callable[..., Any]) -> Callable[..., Any]:
    """A detector's `build`, which keeps the options as its `config`."""

    @wraps(build)
    def built(cls: type, classes: Any, **options: Any) -> Any:
        detector = build(cls, classes, **options)
        detector.config = {"kind": cls.kind, **copy.deepcopy(options)}  # type: ignore[attr-defined]
        return detector

    return built


DETECTORS = Registry("DETECTORS", "workbench.detectors", place="detector", arguments=("classes",))
BRANCHES = Registry(
    "BRANCHES", "workbench.detectors.branches", place="detector.branches", arguments=("channels", "strides")
)
HARDENERS = Registry("HARDENERS", "workbench.hardeners", place="hardener")
HIDERS = Registry("HIDERS", "workbench.hiders", place="augment.hide")
DATASETS = Registry(
    "DATASETS", "workbench.data", place=None, arguments=("root", "split"), key="data set", error=DataError
)
BENCHMARKS = Registry(
    "BENCHMARKS", "workbench.evaluation", place=None, arguments=("found", "data"), key="benchmark", error=DataError
)
PROPOSALS = Registry("PROPOSALS", "workbench.proposals", place="proposals", arguments=("data",), error=DataError)
LOSSES = Registry("LOSSES", "workbench.losses", place="detector.loss")
NORMALISERS = Registry("NORMALISERS", "workbench.losses", place="detector.normaliser")
MINING = Registry("MINING", "workbench.losses", place="detector.roi.mining")
ANCHOR_MINING = Registry("ANCHOR_MINING", "workbench.losses", place="detector.mining")
LOGGERS = Registry(
    "LOGGERS",
    "workbench.training.loggers",
    place="loggers",
    arguments=("folder", "recipe", "after_step", "logged_step"),
)
