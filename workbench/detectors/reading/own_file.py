"""The form of our own files: .safetensors with a checksum; equal content gives equal bytes."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Mapping
from os import PathLike
from pathlib import Path

import torch
from safetensors import SafetensorError, safe_open
from safetensors.torch import save
from torch import Tensor

from workbench.errors import WeightsError
from workbench.files import whole_file


def write_own(path: str | PathLike[str], state: Mapping[str, Tensor], stated: Mapping[str, str]) -> Path:
    """Write tensors and what the file states of itself, whole or not at all; the path.

    Raises:
        OSError: the disk refuses.
    """
    path = Path(path)
    metadata = {**stated, "digest": digest_of(state, stated)}
    path.parent.mkdir(parents=True, exist_ok=True)
    with whole_file(path) as file:
        file.write(in_order(save(dict(state), metadata)))
    return path


def read_safetensors(path: Path) -> tuple[dict[str, Tensor], dict[str, str]]:
    """The tensors of a file, and what it states of itself.

    Raises:
        WeightsError: it cannot be read.
    """
    try:
        with safe_open(path, "pt") as file:
            return {key: file.get_tensor(key) for key in file.keys()}, file.metadata() or {}  # noqa: SIM118
    except (SafetensorError, OSError, ValueError) as reason:
        raise WeightsError(f"{path} is not a readable .safetensors file ({reason})") from reason


def is_as_saved(state: Mapping[str, Tensor], metadata: Mapping[str, str]) -> bool:
    """Whether a file of ours holds what was saved; those of earlier versions do not say so."""
    return metadata.get("digest", now := digest_of(state, metadata)) == now


def digest_of(state: Mapping[str, Tensor], metadata: Mapping[str, str]) -> str:
    """A checksum of the weights, as they are stored, and of what the file states of itself."""
    stated = {key: value for key, value in metadata.items() if key != "digest"}
    digest = hashlib.blake2b(json.dumps(stated, sort_keys=True).encode(), digest_size=16)
    for name, value in sorted(state.items()):
        digest.update(f"{name} {value.dtype} {tuple(value.shape)}".encode())
        digest.update(value.contiguous().view(-1).view(torch.uint8).numpy())
    return digest.hexdigest()


def in_order(content: bytes) -> bytes:
    """The same .safetensors file with the keys of its header in order: the library's order is another each time."""
    length = int.from_bytes(content[:8], "little")
    header = json.loads(content[8 : 8 + length])
    ordered = json.dumps(header | {"__metadata__": dict(sorted(header["__metadata__"].items()))}).encode()
    ordered += b" " * (-len(ordered) % 8)  # tensors begin at a multiple of 8
    return len(ordered).to_bytes(8, "little") + ordered + content[8 + length :]
