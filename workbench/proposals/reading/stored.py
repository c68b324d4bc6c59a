"""Proposals of one image as bytes and back, for the cache: safetensors, which holds numbers and executes nothing."""

from __future__ import annotations

import hashlib
import json
from itertools import pairwise
from typing import Any

import torch
from safetensors import SafetensorError
from safetensors.torch import load, save
from torch import Tensor

from workbench.errors import DataError
from workbench.rle import RLE
from workbench.types import Proposals

CHECK = "check"  #: key of the checksum in a file's metadata


def as_bytes(proposals: Proposals) -> bytes:
    """Boxes, scores and, where there are masks, the codes of all in one row."""
    tensors = {"boxes": proposals.boxes, "scores": proposals.scores}
    tensors = {name: part.detach().cpu().float().contiguous() for name, part in tensors.items()}
    if proposals.masks is not None:
        counts = [code["counts"] for code in proposals.masks]
        tensors["codes"] = torch.tensor(list(b"".join(counts)), dtype=torch.uint8)
        tensors["ends"] = torch.tensor([len(text) for text in counts], dtype=torch.int64).cumsum(0)
        tensors["sizes"] = torch.tensor([code["size"] for code in proposals.masks], dtype=torch.int64).reshape(-1, 2)
    return save(tensors, {CHECK: _check(save(tensors))})


def from_bytes(content: bytes) -> Proposals | None:
    """What `as_bytes` was given; None for bytes that are none of its."""
    try:
        tensors = load(content)
        with_check = _header(content).get("__metadata__")  # files of earlier versions have none
        if with_check is not None and with_check.get(CHECK) != _check(content):
            return None
        boxes, scores = tensors["boxes"], tensors["scores"]
        masks = _masks(tensors["codes"], tensors["ends"], tensors["sizes"]) if "codes" in tensors else None
        found = Proposals(boxes, scores, masks)
    except (SafetensorError, KeyError, ValueError, DataError):
        return None
    good = boxes.dtype == scores.dtype == torch.float32 and boxes.isfinite().all() and scores.isfinite().all()
    return found if good else None


def _check(content: bytes) -> str:
    """The checksum of a .safetensors file, without what stands in its metadata."""
    header = _header(content)
    header.pop("__metadata__", None)
    stated = json.dumps(header, sort_keys=True).encode()
    return hashlib.blake2b(stated + content[_start(content) :], digest_size=16).hexdigest()


def _header(content: bytes) -> dict[str, Any]:
    return json.loads(content[8 : _start(content)])


def _start(content: bytes) -> int:
    return 8 + int.from_bytes(content[:8], "little")


def _masks(codes: Tensor, ends: Tensor, sizes: Tensor) -> list[RLE]:
    text, places = codes.numpy().tobytes(), pairwise([0, *ends.tolist()])
    return [
        {"size": size, "counts": text[begin:end]} for (begin, end), size in zip(places, sizes.tolist(), strict=True)
    ]
