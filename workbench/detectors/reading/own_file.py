"""The form of our own files of detectors: .safetensors with a checksum; equal content gives equal bytes."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Mapping

import torch
from torch import Tensor


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
