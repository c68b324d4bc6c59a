"""Face scenes: faces in photographs, some of them partly hidden, with the exact pixels of what hides them.

For "Adversarial Occlusion-aware Face Detection" (AOFD): its MAFA, FDDB and the 376 labelled photographs of its
segmentation set (SFS) cannot come with a package. The pixels are real and come inside the wheel of scikit-image: 100
faces of Labeled Faces in the Wild (`lfw_subset.npy`), grey and of 25 x 25 pixels, and the astronaut's. No package
that the workbench needs brings better ones: beside these there are one portrait in matplotlib's samples, which not
every distribution ships, and faces that scikit-learn would download. The astronaut is in the public domain;
scikit-image names no licence for the subset, and LFW was made for research.

Faces are pasted as soft ovals 20-64 px high, tinted like skin, into photographs without people, most of them with
plain hair, neck and clothes behind them. So are crops that are none, tinted and hidden in the same way, so that
neither a pasted oval nor a mask nor a body says that there is a face. Faces are hidden by masks (20-60 %), sunglasses
(8-30 %), scarves, hands, strips, and by other faces. Where one face hides another, those pixels of the one in front
are in `mask_occluder`, too (section 3.4). Splits share no picture of a face and no photograph; names are not in the
file, so that the same person may be in two of them. How much is hidden in which split: see `drawing.scenes`.

*What this is too coarse for*: 100 pictures of 25 x 25 pixels, nearly frontal and unsharp, of about 100 people, make
no face detector for photographs; and bodies that are drawn, in places where nobody would be, hardly test the paper's
point that context helps where a face is hidden. Its figures (MAFA, FDDB) are not to be compared with any of
these; what can be compared is AOFD with and without its parts, on the same scenes.
"""

from __future__ import annotations

from typing import Any

import numpy as np
import torch

from workbench.data.drawing.arrangement import arrange
from workbench.data.drawing.faces import Oval, draw_oval
from workbench.data.drawing.layout import LEVELS, Layout
from workbench.data.drawing.paint import paint
from workbench.data.drawing.scenes import Scenes, as_tensor, object_count, object_size
from workbench.data.drawing.worn import FACE_COVERS
from workbench.registry import DATASETS
from workbench.types import Target

MASKED, UNMASKED = 1, 2  #: values of `face_type`
NUM_FOLDS = 10


@DATASETS.register("face-scenes")
class FaceScenes(Scenes):
    """Scenes of one to four faces, each scene from (seed, split, index) alone, in any order.

    Beyond what all scenes know, targets have what the measures of MAFA and FDDB need: `face_type`, 1 (masked) from
    5 % hidden on, else 2 (unmasked); `ellipses` [N, 5] about the ovals, as `workbench.data.fddb` has them; `fold`,
    1 to 10 in turn.

    Args:
        options: size, seed, length, occlusion_rate, occluders and cache, see `Scenes`.

    Raises:
        DataError: any other value.

    Example:
        >>> data = wb.load_data("face-scenes", split="test", length=3)
        >>> target = data.target(0)
        >>> bool(target["mask_occluder"].any()) == bool((target["occlusion"] > 0).any())
        True
    """

    covers = (*FACE_COVERS, "face")

    def __init__(self, split: str = "train", **options: Any):
        super().__init__(split, **options)
        self.classes = ("face",)

    def arranged(self, rng: np.random.Generator) -> Layout:
        num_faces = object_count(rng, 1, 4, self.pixels)
        return arrange(
            rng,
            size=self.pixels,
            num_objects=num_faces + int(rng.integers(0, 3)),
            draw_piece=lambda rng, number: draw_oval(
                rng, self.split, object_size(rng, 21, 65, self.pixels), face=number < num_faces
            ),
            rate=self.occlusion_rate,
            even=self.split != "train",
            occluders=self.occluders,
            covers=FACE_COVERS,
        )

    def painted(self, layout: Layout, rng: np.random.Generator) -> np.ndarray:
        return paint(layout, rng, self.split, people=False)

    def _ovals(self, index: int) -> list[Oval]:
        """The faces of a scene."""
        return [piece for piece in self.layout(index).pieces if isinstance(piece, Oval)]

    def target(self, index: int) -> Target:
        """The target alone, with `face_type`, `ellipses` and `fold`; no image is painted."""
        target = super().target(index)
        target["face_type"] = torch.where(target["occlusion"] >= LEVELS[1], MASKED, UNMASKED)
        target["ellipses"] = as_tensor([oval.ellipse for oval in self._ovals(index)]).reshape(-1, 5)
        target["fold"] = self._position(index) % NUM_FOLDS + 1
        return target
