"""The process that trains: its device, threads and precision, its fellow processes, and how it is stopped.

Several processes talk by gloo on CPUs, by NCCL on CUDA. Those that `group.py` starts meet through a file in the run
folder and listen on the loopback only. `torchrun` can start them, too, on several machines as well; they meet as it
says then, and its stores are open to the network. Nothing that comes from another process is unpickled here.

An accelerator is whatever torch has on this machine: CUDA, mps, xpu.
"""

from __future__ import annotations

import contextlib
import ctypes
import json
import os
import signal
import sys
import threading
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from datetime import timedelta
from typing import Any

import psutil
import torch
from torch import distributed

from workbench.errors import RecipeError, RunError
from workbench.training.processes.group import MEETING
from workbench.training.recipe import Recipe

PR_SET_PDEATHSIG = 1
TIMEOUT = timedelta(hours=2)  # rank 0 may evaluate for long while the others wait


@dataclass(frozen=True)
class World:
    """This process among those of the run."""

    rank: int
    size: int
    device: torch.device
    threads: int

    @property
    def first(self) -> bool:
        """Whether this process writes files."""
        return self.rank == 0

    def any(self, *flags: bool) -> list[bool]:
        """Each flag: whether it is set in any process. All processes must call this together."""
        if self.size == 1:
            return list(flags)
        values = torch.tensor(flags, dtype=torch.int32, device=self.device)
        distributed.all_reduce(values, op=distributed.ReduceOp.MAX)
        return [bool(value) for value in values.tolist()]

    def wait(self) -> None:
        """Until all processes have come here."""
        if self.size > 1:
            distributed.barrier()

    def share(self, values: Iterable[torch.Tensor]) -> None:
        """Give all processes the first one's values. All processes must call this together."""
        for value in values if self.size > 1 else ():
            distributed.broadcast(value, 0)

    def gather(self, value: Any) -> list[Any]:
        """Every process's value, of what JSON has, by rank. All processes must call this together."""
        if self.size == 1:
            return [value]
        own = torch.frombuffer(bytearray(json.dumps(value).encode()), dtype=torch.uint8).to(self.device)
        sizes = [torch.zeros(1, dtype=torch.int64, device=self.device) for _ in range(self.size)]
        distributed.all_gather(sizes, torch.tensor([len(own)], device=self.device))
        longest = max(int(size) for size in sizes)
        texts = [own.new_zeros(longest) for _ in sizes]
        distributed.all_gather(texts, torch.nn.functional.pad(own, (0, longest - len(own))))
        return [json.loads(bytes(text[: int(n)].tolist())) for text, n in zip(texts, sizes, strict=True)]


@contextlib.contextmanager
def join_world(recipe: Recipe) -> Iterator[World]:
    """Set threads and device, meet the other processes if there are to be any, part from them at the end."""
    rank, size = rank_here(), int(os.environ.get("WORLD_SIZE", 1))
    if size != recipe.processes:
        raise RunError(
            f"the recipe asks for {recipe.processes} processes and {size} are running; "
            f"use launch(recipe), or torchrun --nproc-per-node {recipe.processes}"
        )
    device = choose_device(recipe.device, local_rank=int(os.environ.get("LOCAL_RANK", 0)))
    threads_before = torch.get_num_threads()
    threads = recipe.threads or threads_before  # OMP_NUM_THREADS; torchrun sets it to 1 unless it is set
    torch.set_num_threads(threads)
    if size > 1:
        if device.type != "cpu":
            torch.accelerator.set_device_index(device)
        _meet(rank, size, backend=distributed.get_default_backend_for_device(device))
    try:
        yield World(rank, size, device, threads)
    finally:
        torch.set_num_threads(threads_before)
        if size > 1:
            distributed.destroy_process_group()


def rank_here() -> int:
    """The place of this process among those of its run."""
    return int(os.environ.get("RANK", 0))


def _meet(rank: int, size: int, *, backend: str) -> None:
    if os.environ.get("LOCAL_WORLD_SIZE") == str(size):  # all are on this machine
        for variable in ("GLOO_SOCKET_IFNAME", "NCCL_SOCKET_IFNAME"):
            os.environ.setdefault(variable, _loopback())
    meeting = os.environ.get(MEETING)
    store = None if meeting is None else distributed.FileStore(meeting, size)
    where = {} if store is None else {"store": store, "rank": rank, "world_size": size}
    distributed.init_process_group(backend, timeout=TIMEOUT, **where)


def _loopback() -> str:
    """The name of the network interface that leads nowhere but to this machine."""
    named = psutil.net_if_addrs().items()
    return next((name for name, addresses in named if any(a.address == "127.0.0.1" for a in addresses)), "lo")


def choose_device(name: str, *, local_rank: int = 0) -> torch.device:
    """`auto` is the machine's accelerator where it has one, else the CPU.

    Args:
        name: "auto", "cpu", "cuda", "cuda:1", "mps", "xpu" ...
        local_rank: of this process among those of this machine; each has an accelerator of its own.

    Raises:
        RecipeError: the device is not there.
    """
    there = torch.accelerator.current_accelerator(check_available=True)
    if name == "auto":
        name = "cpu" if there is None else there.type
    try:
        device = torch.device(name)
    except RuntimeError:
        raise RecipeError(f"device: expected auto, cpu, cuda, cuda:N, mps or xpu, got {name!r}") from None
    if device.type == "cpu":
        return device
    index, count = local_rank if device.index is None else device.index, device_count(device.type)
    if index >= count:
        raise RecipeError(f"device: {name!r} is not there ({count} {device.type.upper()} devices are)")
    return torch.device(device.type, index)


def device_count(kind: str) -> int:
    """How many accelerators of a kind ("cuda", "mps" ...) this machine has."""
    there = torch.accelerator.current_accelerator(check_available=True)
    return torch.accelerator.device_count() if there is not None and there.type == kind else 0


def choose_precision(name: str, device: torch.device) -> torch.dtype:
    """bfloat16 or float32; `auto` is bfloat16 where it is faster: GPUs and CPUs with instructions for it."""
    if name != "auto":
        return torch.bfloat16 if name == "bf16" else torch.float32
    if device.type in ("cuda", "xpu"):
        fast = torch.get_device_module(device).is_bf16_supported(including_emulation=False)
        return torch.bfloat16 if fast else torch.float32
    fast = device.type == "cpu" and torch.cpu._is_avx512_bf16_supported()  # CPUs with AMX have it, too
    return torch.bfloat16 if fast else torch.float32


class StopSignal:
    """While this context is open, SIGTERM and SIGINT are only noted; a second one within it interrupts."""

    def __init__(self) -> None:
        self.name: str | None = None
        self._before: dict[int, Any] = {}

    def __enter__(self) -> StopSignal:
        if threading.current_thread() is threading.main_thread():
            for number in (signal.SIGTERM, signal.SIGINT):
                self._before[number] = signal.signal(number, self._note)
        return self

    def __exit__(self, *_: object) -> None:
        for number, handler in self._before.items():
            signal.signal(number, handler)

    def _note(self, number: int, _: object) -> None:
        if self.name is not None and number == signal.SIGINT:
            raise KeyboardInterrupt
        self.name = signal.Signals(number).name


def die_with_parent(number: int = signal.SIGKILL) -> None:
    """Ask the kernel (Linux) to send this process a signal when its parent ends."""
    if sys.platform != "linux":
        return
    parent = os.getppid()
    ctypes.CDLL(None, use_errno=True).prctl(PR_SET_PDEATHSIG, int(number), 0, 0, 0)
    if os.getppid() != parent:  # it ended in between
        os.kill(os.getpid(), number)


def die_with_torchrun() -> None:
    """In a worker of torchrun, end when torchrun does; a detached process of its own outlives its parent."""
    if "TORCHELASTIC_RUN_ID" in os.environ:
        die_with_parent()
