"""Occluders laid over the faces of photographs: any data set with boxes, some of its faces hidden, exactly known.

In place of AOFD's segmentation set (SFS, 376 photographs with the pixels of their occluders), which is not public:
the masks, sunglasses, scarves, hands and strips of `face-scenes` are laid over a share of the faces, drawn from
(seed, image) alone. A face is taken to be the ellipse inscribed in its box, unless the data know its pixels. All else
of a photograph stays as it is.

Only what lies over faces is in `mask_occluder`: the rest of a scarf is not, as in `face-scenes`. What a photograph
hides by itself, such as a mask that somebody wears, is not known: `mask_occluder` holds what was laid, and what the
data know to be hidden, so that on photographs of masked people it misses much. `occlusion` and `face_type` of faces
that nothing was laid over stay as the data have them, which may be unknown (NaN).
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import torch
from torch import Tensor
from torchvision import tv_tensors

from workbench.data.altered import Altered
from workbench.data.drawing.arrangement import Arrangement, draw_cover, draw_level
from workbench.data.drawing.layout import LEVELS, Cover, Piece
from workbench.data.drawing.occluders import pixel_window
from workbench.data.drawing.paint import paint_cover
from workbench.data.drawing.pixels import SPLITS
from workbench.data.drawing.scenes import choice
from workbench.data.drawing.worn import FACE_COVERS
from workbench.data.face_scenes import MASKED
from workbench.data.reading.contents import ObjectsAtHand
from workbench.options import Count, Number, Share
from workbench.registry import DATASETS
from workbench.types import Target

SMALLEST, MOST = 12, 32  #: pixels of a face's shorter side, and faces of an image, that occluders are laid over


@DATASETS.register("occluded-faces")
class OccludedFaces(Altered):
    """Another data set with occluders over some of its faces: of the 32 largest of an image, from 12 px on.

    Targets have `mask_occluder`, and the exact `occlusion` of faces that something was laid over.

    Args:
        split: of the other data set, unless `of` says one.
        of: the other data set, as arguments of `load_data`: {"name": ..., "split", "root", "options"}.
        images: only so many of its images, evenly spaced; None: all.
        share: of the faces that get an occluder, each with equal probability.
        even: hidden fractions evenly over the levels of evaluation from 5 % on; False: seldom much.
        occluders: some of the kinds in `FACE_COVERS`; None: all.
        masks: give the pixels of each face, too (`masks`, visible, and `masks_amodal`), which takes much memory for
            crowds; those that the other data set brings are always given.
        seed: of all that is drawn.

    Raises:
        DataError: an option that is wrong, or data that cannot be read.

    Example:
        >>> scenes = {"name": "face-scenes", "options": {"length": 4, "occlusion_rate": 0.0}}
        >>> data = wb.load_data("occluded-faces", split="test", of=scenes, share=1.0)
        >>> bool(data.target(0)["mask_occluder"].any())
        True
    """

    def __init__(
        self,
        split: str = "train",
        *,
        of: dict[str, Any],
        images: Count | None = None,
        share: Share = 0.5,
        even: bool = True,
        occluders: str | Sequence[str] | None = None,
        masks: bool = False,
        seed: Number = 0,
    ):
        super().__init__(of, split, images, things="faces")
        self.share, self.even, self.masks, self.seed = share, even, masks, seed
        kinds = (occluders,) if isinstance(occluders, str) else occluders or tuple(FACE_COVERS)
        self.occluders = tuple(choice("occluders", kind, tuple(FACE_COVERS)) for kind in kinds)
        self._latest: tuple[int | None, list[Cover]] = (None, [])

    def objects_at_hand(self, indices: Sequence[int]) -> ObjectsAtHand | None:
        """Those of the other data set; how much is laid over them is seen in targets only."""
        found = self.whole.objects_at_hand(indices)
        return None if found is None else ObjectsAtHand(found.labels)

    def image(self, index: int) -> tv_tensors.Image:
        """The image [3, H, W], uint8, of the other data set with occluders over it."""
        index = self._position(index)
        image, covers = super().image(index), self.covers(index)
        if not covers:
            return image
        pixels = image.permute(1, 2, 0).numpy().astype(np.float32) / 255
        rng, split = self._rng(index, 1), self.split if self.split in SPLITS else None
        for cover in covers:
            paint_cover(pixels, cover, rng, split)
        laid = torch.from_numpy((pixels * 255 + 0.5).clip(0, 255).astype(np.uint8)).permute(2, 0, 1)
        under = torch.from_numpy(_under(covers, self.size(index)))
        return tv_tensors.Image(torch.where(under, laid, image.as_subclass(Tensor)))

    def full_image(self, index: int) -> tv_tensors.Image:
        """The image itself: occluders lie on what `image` shows."""
        return self.image(index)

    def target(self, index: int) -> Target:
        """The target of the other data set with `mask_occluder`; no image is decoded."""
        index = self._position(index)
        target, size = super().target(index).copy(), self.size(index)
        under, faces = _under(self.covers(index), size), _faces(target, size)
        unknown = torch.full((len(target["labels"]),), torch.nan)
        occlusion = target.get("occlusion", unknown).clone()
        known = target.get("mask_occluder", torch.zeros(size, dtype=torch.bool))
        occluder = known.as_subclass(Tensor).numpy().copy()
        for row, face in faces.items():
            laid = under[face.window]
            hidden = face.whole & (laid | ~face.visible)
            occluder[face.window] |= hidden
            if (face.whole & laid).any():
                occlusion[row] = hidden.sum() / face.whole.sum()
        target |= self._pixels(target, faces, under)
        target.pop("boxes_visible", None)  # they would have to be drawn in
        if "face_type" in target:
            target["face_type"] = target["face_type"].masked_fill(occlusion >= LEVELS[1], MASKED)
        return target | Target(occlusion=occlusion, mask_occluder=tv_tensors.Mask(torch.from_numpy(occluder)))

    def covers(self, index: int) -> list[Cover]:
        """What is laid over image `index`, the lowest first."""
        index = self._position(index)
        if self._latest[0] != index:  # image and target are asked for one after the other
            self._latest = index, self._arranged(super().target(index), self.size(index), self._rng(index, 0))
        return self._latest[1]

    def _arranged(self, target: Target, size: tuple[int, int], rng: np.random.Generator) -> list[Cover]:
        scene = Arrangement(size, rng, FACE_COVERS)
        for row, face in _largest(_faces(target, size)).items():
            piece = Piece(row + 1, face.window[1].start, face.window[0].start, face.whole)
            piece.level = draw_level(rng, rate=self.share, even=self.even)
            piece.cover = draw_cover(rng, self.occluders, FACE_COVERS, piece.level)
            scene.add(piece)
        for number, piece in enumerate(scene.pieces):
            if piece.level > 0:
                scene.cover(number)
        return [layer for layer in scene.layout.layers if isinstance(layer, Cover)]

    def _pixels(self, target: Target, faces: Mapping[int, Face], under: np.ndarray) -> Target:
        """`masks` and `masks_amodal`, as far as they are known or wanted, and the `area` that follows."""
        found = Target()
        if self.masks or "masks" in target:
            whole = _drawn(faces, len(target["labels"]), under.shape)
            seen = target["masks"].as_subclass(Tensor) if "masks" in target else whole
            found["masks"] = tv_tensors.Mask(seen & ~torch.from_numpy(under))
            found["area"] = found["masks"].as_subclass(Tensor).sum((1, 2)).float()
            if self.masks:
                found["masks_amodal"] = target.get("masks_amodal", tv_tensors.Mask(whole))
        return found

    def _rng(self, index: int, stream: int) -> np.random.Generator:
        """One stream for where occluders lie and one for their colours."""
        return np.random.default_rng([self.seed, index, stream])


@dataclass(frozen=True)
class Face:
    """The pixels of one face before anything is laid over it."""

    window: tuple[slice, slice]  #: its rows and columns of the image
    whole: np.ndarray  #: bool [h, w], all of them in that window
    visible: np.ndarray  #: bool [h, w], those that the image shows


def _faces(target: Target, size: tuple[int, int]) -> dict[int, Face]:
    """The faces by their row of the target; without crowds, and without those that have no pixel."""
    found, boxes = {}, target["boxes"].as_subclass(Tensor).double().numpy()
    crowd = target.get("iscrowd", torch.zeros(len(boxes), dtype=torch.bool)).numpy()
    for row in np.flatnonzero((boxes[:, 2:] > boxes[:, :2]).all(1) & ~crowd).tolist():
        box = boxes[row]
        x1, y1, x2, y2 = pixel_window((box[:2] + box[2:]) / 2, (box[2:] - box[:2]) / 2, size)
        window = slice(y1, y2), slice(x1, x2)
        whole = visible = _ellipse(box, window)
        if "masks" in target:
            visible = target["masks"][row].numpy()[window]
            whole = target["masks_amodal"][row].numpy()[window] if "masks_amodal" in target else visible
        if whole.any():
            found[row] = Face(window, whole, visible)
    return found


def _ellipse(box: np.ndarray, window: tuple[slice, slice]) -> np.ndarray:
    """The pixels of a window whose middle lies in the ellipse inscribed in a box [4] (xyxy), bool [h, w]."""
    down, across = (np.arange(part.start, part.stop) + 0.5 for part in window)
    (x, y), (half_width, half_height) = (box[:2] + box[2:]) / 2, (box[2:] - box[:2]) / 2
    return ((across - x) / half_width)[None, :] ** 2 + ((down - y) / half_height)[:, None] ** 2 < 1


def _largest(faces: Mapping[int, Face]) -> dict[int, Face]:
    """The largest faces that may be hidden, in the order of their rows."""
    large = [row for row, face in faces.items() if min(face.whole.shape) >= SMALLEST]
    chosen = sorted(large, key=lambda row: -faces[row].whole.size)[:MOST]
    return {row: faces[row] for row in sorted(chosen)}


def _drawn(faces: Mapping[int, Face], number: int, size: tuple[int, ...]) -> Tensor:
    """Masks [N, H, W] of whole faces."""
    pixels = np.zeros((number, *size), bool)
    for row, face in faces.items():
        pixels[(row, *face.window)] = face.whole
    return torch.from_numpy(pixels)


def _under(covers: Sequence[Cover], size: tuple[int, int]) -> np.ndarray:
    """The pixels [H, W] that occluders lie on."""
    under = np.zeros(size, bool)
    for cover in covers:
        under[cover.window] |= cover.mask
    return under
