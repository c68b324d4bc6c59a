"""Proposals of one image as bytes and back, for the cache: safetensors, which holds numbers and executes nothing."""

from __future__ import annotations

from itertools import pairwise

import torch
from safetensors import SafetensorError
from safetensors.torch import load, save
from torch import Tensor

from workbench.errors import DataError
from workbench.rle import RLE
from workbench.types import Proposals


def as_bytes(proposals: Proposals) -> bytes:
    """Boxes, scores and, where there are masks, the codes of all in one row."""
    tensors = {"boxes": proposals.boxes, "scores": proposals.scores}
    tensors = {name: part.detach().cpu().float().contiguous() for name, part in tensors.items()}
    if proposals.masks is not None:
        counts = [code["counts"] for code in proposals.masks]
        tensors["codes"] = torch.tensor(list(b"".join(counts)), dtype=torch.uint8)
        tensors["ends"] = torch.tensor([len(text) for text in counts], dtype=torch.int64).cumsum(0)
        tensors["sizes"] = torch.tensor([code["size"] for code in proposals.masks], dtype=torch.int64).reshape(-1, 2)
    return save(tensors)


def from_bytes(content: bytes) -> Proposals | None:
    """What `as_bytes` was given; None for bytes that are none of its."""
    try:
        tensors = load(content)
        boxes, scores = tensors["boxes"], tensors["scores"]
        masks = _masks(tensors["codes"], tensors["ends"], tensors["sizes"]) if "codes" in tensors else None
        found = Proposals(boxes, scores, masks)
    except (SafetensorError, KeyError, ValueError, DataError):
        return None
    good = boxes.dtype == scores.dtype == torch.float32 and boxes.isfinite().all() and scores.isfinite().all()
    return found if good else None


def _masks(codes: Tensor, ends: Tensor, sizes: Tensor) -> list[RLE]:
    text, places = codes.numpy().tobytes(), pairwise([0, *ends.tolist()])
    return [
        {"size": size, "counts": text[begin:end]} for (begin, end), size in zip(places, sizes.tolist(), strict=True)
    ]
