"""Targets of which some values are made when somebody asks for them: masks, and what is estimated from them."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, MutableMapping
from typing import Any

from torch.utils import _pytree

from workbench.types import Target


class LazyTarget(MutableMapping, dict):
    """A target that makes some of its values on demand and then keeps them; to its readers it is an ordinary dict.

    Copies and what is sent to another process are plain dicts with all values.

    Args:
        values: what is known already.
        later: by key, what makes a value from the target.
    """

    def __init__(self, values: Mapping[str, Any], later: Mapping[str, Callable[[Target], Any]]):
        dict.__init__(self, values)
        self.later = dict(later)

    def __getitem__(self, key: str) -> Any:
        if key in self.later:
            self[key] = self.later[key](self)
        return dict.__getitem__(self, key)

    def __setitem__(self, key: str, value: Any) -> None:
        dict.__setitem__(self, key, value)
        self.later.pop(key, None)

    def __delitem__(self, key: str) -> None:
        if self.later.pop(key, None) is None:
            dict.__delitem__(self, key)

    def __contains__(self, key: object) -> bool:
        return dict.__contains__(self, key) or key in self.later

    def __iter__(self) -> Iterator[str]:
        return iter([*dict.__iter__(self), *self.later])

    def __len__(self) -> int:
        return dict.__len__(self) + len(self.later)

    def __or__(self, other: Mapping[str, Any]) -> dict[str, Any]:
        return dict(self) | dict(other)

    def __ror__(self, other: Mapping[str, Any]) -> dict[str, Any]:
        return dict(other) | dict(self)

    def __ior__(self, other: Mapping[str, Any]) -> LazyTarget:
        self.update(other)
        return self

    def __repr__(self) -> str:
        return repr(dict(self))

    def __reduce__(self) -> tuple[Any, ...]:
        return dict, (dict(self),)  # what makes values may hold a whole data set

    def copy(self) -> dict[str, Any]:
        """A plain dict of all values."""
        return dict(self)


# Else torchvision's transforms take a LazyTarget for one value and leave its boxes and masks as they are.
_pytree.register_pytree_node(
    LazyTarget,
    lambda target: (list(target.values()), list(target)),
    lambda values, keys: dict(zip(keys, values, strict=True)),
)


def at_hand(target: Target) -> Target:
    """The values of a target that are there already; what would have to be made first is left out."""
    return {key: dict.__getitem__(target, key) for key in dict.__iter__(target)}


def without_estimates(target: Target) -> Target:
    """A plain dict of all values but an occlusion that would have to be estimated first."""
    known = at_hand(target)
    return {key: target[key] for key in target if key != "occlusion" or key in known}
