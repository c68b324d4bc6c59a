"""A pretend accelerator, for finding what would go wrong on a real one where there is none.

Its tensors are computed on the CPU, but say that they are on a device called "pretend", and refuse what a GPU
refuses: to be mixed with tensors of the CPU, to become numpy arrays, and (as mps) to be float64. To torch it is the
machine's accelerator, so that `device: auto` finds it. What it cannot show: kernels of a device, their precision,
streams, and generators that are on it.

`install()` changes torch for the whole process: use it in a process of its own. It relies on torch's hooks for
backends in Python, which are experimental; `AVAILABLE` says whether they are there.
"""

from __future__ import annotations

from functools import partial
from typing import Any

import torch
from torch.utils._python_dispatch import TorchDispatchMode
from torch.utils._pytree import tree_leaves, tree_map

try:
    from torch.utils import backend_registration
    from torch.utils.backend_registration import _setup_privateuseone_for_python_backend as _register

    AVAILABLE = True
except ImportError:
    AVAILABLE = False

NAME = "pretend"
aten = torch.ops.aten
#: May take indices from the CPU, as on a GPU.
TAKES_INDICES = {
    aten.index.Tensor,
    aten.index_put.default,
    aten.index_put_.default,
    aten._index_put_impl_.default,
    aten._unsafe_index.Tensor,
}


class Elsewhere(torch.Tensor):
    """A tensor on the pretend device; `inside` is where its numbers are."""

    inside: torch.Tensor
    __torch_function__ = torch._C._disabled_torch_function_impl

    @staticmethod
    def __new__(cls, inside: torch.Tensor) -> Elsewhere:
        made = torch.Tensor._make_wrapper_subclass(
            cls,
            inside.shape,
            strides=inside.stride(),
            storage_offset=inside.storage_offset(),
            dtype=inside.dtype,
            device=torch.device(NAME, 0),
            requires_grad=inside.requires_grad,
        )
        made.inside = inside.detach()
        return made

    def numpy(self, **_: Any) -> Any:
        raise TypeError(f"can't convert a tensor on {NAME} to numpy; use .cpu() first")

    __array__ = numpy

    def tolist(self) -> Any:
        return self.inside.tolist()

    def __reduce_ex__(self, protocol: Any) -> Any:
        return self.inside.clone().__reduce_ex__(protocol)

    def __repr__(self, **_: Any) -> str:
        return f"Elsewhere({self.inside})"

    @classmethod
    def __torch_dispatch__(cls, operation: Any, types: Any, args: Any = (), options: Any = None) -> Any:
        return compute(operation, args, options or {})


def _inside(value: Any) -> Any:
    if isinstance(value, torch.device) and value.type == NAME:
        return torch.device("cpu")
    return value.inside if isinstance(value, Elsewhere) else value


def _outside(value: Any) -> Any:
    if not isinstance(value, torch.Tensor) or isinstance(value, Elsewhere):
        return value
    if value.dtype == torch.float64:
        raise TypeError(f"{NAME} has no float64, as mps")
    return Elsewhere(value)


def compute(operation: Any, args: Any, options: dict[str, Any]) -> Any:
    """An operation with all that is on the device taken to the CPU, or the error that a device would raise."""
    given = [one for one in tree_leaves((args, options)) if isinstance(one, torch.Tensor)]
    here = [one for one in given if not isinstance(one, Elsewhere)]
    wanted = options.get("device")
    there = len(here) < len(given) if wanted is None else torch.device(wanted).type == NAME
    if operation is aten.copy_.default:  # transfers, in any direction
        _inside(args[0]).copy_(_inside(args[1]), *args[2:])
        return args[0]
    if operation is not aten._to_copy.default and 0 < len(here) < len(given):
        _refuse(operation, [one for one in here if one.dim() > 0])
    made = operation(*tree_map(_inside, args), **tree_map(_inside, options))
    if operation is aten._local_scalar_dense.default:
        return made
    if operation._schema.name.endswith("_") and isinstance(args[0], Elsewhere):
        return args[0]  # in place
    if "out" in options and isinstance(options["out"], Elsewhere):
        return options["out"]
    return tree_map(_outside, made) if there else made


def _refuse(operation: Any, here: list[torch.Tensor]) -> None:
    indices = all(one.dtype in (torch.int64, torch.int32, torch.bool, torch.uint8) for one in here)
    if here and not (operation in TAKES_INDICES and indices):
        shapes = [tuple(one.shape) for one in here]
        raise RuntimeError(f"expected all tensors on one device: {operation} got {shapes} of the CPU")


class _Mode(TorchDispatchMode):
    """Makes new tensors on the device where that is asked for."""

    def __torch_dispatch__(self, operation: Any, types: Any, args: Any = (), options: Any = None) -> Any:
        return compute(operation, args, options or {})


class Waits(TorchDispatchMode):
    """Counts how often a real device would be waited for: whenever the program must know what is on it."""

    number = 0

    def __torch_dispatch__(self, operation: Any, types: Any, args: Any = (), options: Any = None) -> Any:
        options = options or {}
        if operation is aten._to_copy.default:
            reads = torch.device(options.get("device") or NAME).type != NAME
        elif operation is aten.index.Tensor:  # by a mask: how many rows there will be
            reads = any(isinstance(one, Elsewhere) and one.dtype == torch.bool for one in args[1])
        else:
            reads = operation in (aten._local_scalar_dense.default, aten.nonzero.default)
        self.number += reads and isinstance(args[0], Elsewhere)
        return compute(operation, args, options)


def _load(load: Any, *given: Any, map_location: Any = None, **options: Any) -> Any:
    """`torch.load`, also to the device."""
    if map_location is None or torch.device(map_location).type != NAME:
        return load(*given, map_location=map_location, **options)
    found = load(*given, map_location="cpu", **options)
    return tree_map(lambda one: one.to(map_location) if isinstance(one, torch.Tensor) else one, found)


class _Generator(torch.Generator):
    """On the CPU, whatever is asked for."""

    def __new__(cls, device: Any = "cpu") -> _Generator:
        return super().__new__(cls)


def install() -> None:
    """Give this process the device, for the rest of its life."""

    class Module(backend_registration._DummyBackendModule):
        def get_amp_supported_dtype(self) -> list[torch.dtype]:
            return [torch.bfloat16]

        def synchronize(self, device: Any = None) -> None: ...

    _register(NAME, backend_module=Module())
    torch.Generator = _Generator  # type: ignore[misc]
    torch.load = partial(_load, torch.load)
    torch._C._set_only_lift_cpu_tensors(True)
    torch.accelerator.synchronize = lambda device=None: None
    torch.Tensor.pin_memory = lambda tensor, *_: tensor  # type: ignore[method-assign]
    _Mode().__enter__()
