"""What changes of training images cost: against torchvision's own transforms where there are any, and per image.

An image of 480 x 640 pixels with ten objects and their masks, as of COCO. Before timing: for the same draw the images
are equal. What adversarial placement adds is timed by itself against a whole training step of the detector: its
forward passes over the candidates, and the occluders that are drawn.
"""

from __future__ import annotations

import numpy as np
import torch
from measure import Job, Row, added, milliseconds, must_agree, ratio
from torch import Tensor
from torchvision import tv_tensors
from torchvision.ops import drop_block2d
from torchvision.transforms import v2
from torchvision.transforms.v2 import functional as V

from workbench.data import load_data
from workbench.data.dataset import make_target
from workbench.detectors import build_detector
from workbench.hardeners.drop_block import block_mask
from workbench.hiders import Scene, build_hiders
from workbench.hiders.layers.fills import filled
from workbench.training.recipe import Recipe
from workbench.training.recipe_sections import FixedSizeSpec, PhotometricSpec, ScaleJitterSpec
from workbench.training.stepping.colour import draw_distortion
from workbench.training.stepping.geometry import fixed_size, flip_horizontally, jittered_size, resized
from workbench.training.stepping.placement import Placement
from workbench.types import Target

HEIGHT, WIDTH, OBJECTS = 480, 640, 10
PLACEMENT_AIM = 2.0  #: of a step: 2.25 batches forward beside one forward and backward, at the default


def sample(seed: int = 0) -> tuple[Tensor, Target]:
    """Noise with ellipses in it, whose masks are known."""
    rng = np.random.default_rng(seed)
    image = tv_tensors.Image(torch.from_numpy(rng.integers(0, 256, (3, HEIGHT, WIDTH), dtype=np.uint8)))
    y, x = np.mgrid[:HEIGHT, :WIDTH]
    centres, radii = rng.uniform((80, 80), (WIDTH - 80, HEIGHT - 80), (OBJECTS, 2)), rng.uniform(20, 80, (OBJECTS, 2))
    masks = np.stack(
        [((x - a) / p) ** 2 + ((y - b) / q) ** 2 < 1 for (a, b), (p, q) in zip(centres, radii, strict=True)]
    )
    boxes = torch.from_numpy(np.hstack([centres - radii, centres + radii])).float()
    target = make_target(
        image_id=seed, size=(HEIGHT, WIDTH), boxes=boxes, labels=torch.ones(OBJECTS), masks=torch.from_numpy(masks),
        area=torch.from_numpy(masks.sum((1, 2))),
    )  # fmt: skip
    return image, target


def against_torchvision(rounds: int) -> list[Row]:
    """Flipping, sizes, colours and erasing, drawn anew each time on both sides."""
    image, target = sample()
    bare = {key: target[key] for key in ("boxes", "labels", "masks")}
    rng = np.random.default_rng(0)
    jitter, fixed = ScaleJitterSpec(size=(480, 640), range=(0.5, 1.5)), FixedSizeSpec(size=(480, 640), fill=(0, 0, 0))
    theirs = v2.Compose([v2.ScaleJitter((640, 480), (0.5, 1.5)), v2.RandomCrop((480, 640), pad_if_needed=True)])
    colours, distort = PhotometricSpec(), v2.RandomPhotometricDistort()
    erase = v2.RandomErasing(p=1.0, scale=(0.02, 0.4), ratio=(0.3, 1 / 0.3))
    eraser = build_hiders({"kind": "random-erasing", "where": "image", "chance": 1.0, "fill": "black"})[0]
    must_agree("flip", flip_horizontally(image, bare)[0], V.horizontal_flip(image), atol=0)
    hidden = torch.zeros(HEIGHT, WIDTH, dtype=torch.bool)
    hidden[50:200, 90:300] = True
    black = filled(image, hidden, "black", torch.zeros(3), rng)
    must_agree("erasing", black, V.erase(image, 50, 90, 150, 210, torch.zeros(3, 1, 1, dtype=torch.uint8)), atol=0)

    def sized() -> tuple[Tensor, Target]:
        size = jittered_size((HEIGHT, WIDTH), jitter, rng)
        return fixed_size(*resized(image, bare, size), fixed, rng.random())

    pairs: dict[str, tuple[Job, Job]] = {
        "mirrored": (lambda: flip_horizontally(image, bare), lambda: v2.RandomHorizontalFlip(1.0)(image, bare)),
        "scale jitter and a fixed size": (sized, lambda: theirs(image, bare)),
        "random colours": (lambda: draw_distortion(colours, rng).apply(image), lambda: distort(image)),
        "random erasing, no objects": (
            lambda: eraser.hide(image, {"boxes": torch.zeros(0, 4), "labels": torch.zeros(0)}, Scene(rng)),
            lambda: erase(image),
        ),
    }
    name = f"image {HEIGHT} x {WIDTH}, {OBJECTS} masks"
    repeat = 20
    return [
        ratio(f"{job}, {name}", times(ours, repeat), times(peer, repeat), peer="torchvision", aim=None, rounds=rounds)
        for job, (ours, peer) in pairs.items()
    ]


def per_image(rounds: int) -> list[Row]:
    """Milliseconds of each hider on an image with its masks; every image is changed."""
    first, other = sample(0), sample(1)
    rng, rows = np.random.default_rng(0), []
    for kind in ("random-erasing", "hide-and-seek", "grid-mask", "paste", "copy-paste"):
        hider = build_hiders({"kind": kind, "chance": 1.0})[0]
        scene = Scene(rng, others=[other])
        job = times(lambda hider=hider, scene=scene: hider.hide(*first, scene), 5)
        rows.append(milliseconds(f"{kind}, one image with {OBJECTS} masks", job, aim=None, rounds=rounds, inner=5))
    return rows


def drop_block(rounds: int) -> Row:
    """Masks of 1,024 RoIs of 256 channels, and the features times them."""
    features, generator = torch.rand(1024, 256, 7, 7), torch.Generator()

    def ours() -> Tensor:
        mask = block_mask(tuple(features.shape), 0.9, 3, generator)
        return features * (mask * (mask.numel() / (1e-6 + mask.sum())))

    generator.manual_seed(5)
    torch.manual_seed(5)
    must_agree("DropBlock", ours(), drop_block2d(features, 0.1, 3), atol=1e-6)
    return ratio(
        "DropBlock, 1,024 RoIs",
        ours,
        lambda: drop_block2d(features, 0.1, 3),
        peer="torchvision",
        aim=1.1,
        rounds=rounds,
    )


def placement(rounds: int) -> list[Row]:
    """What it adds to a step of the digit detector, at the default and at half of the images."""
    recipe = Recipe.load("digit-scenes/faster-rcnn")
    data = load_data("digit-scenes", length=recipe.batch_size)
    torch.manual_seed(0)
    detector = build_detector(recipe.detector, data.classes)
    images, targets = map(list, zip(*(data[index] for index in range(len(data))), strict=True))
    optimizer = torch.optim.SGD(detector.parameters(), 1e-12)

    def step() -> None:
        optimizer.zero_grad()
        detector.losses(images, targets, torch.Generator().manual_seed(0)).total.backward()
        optimizer.step()

    rows = []
    for chance in (0.25, 0.5):
        hiders = build_hiders({"kind": "adversarial-placement", "chance": chance})
        place = Placement(hiders, detector, data, seed=0, most=recipe.batch_size)
        more = lambda place=place: place(images, targets, step=0, progress=1.0)  # noqa: E731, each with its own
        job = f"adversarial placement, {chance:.0%} of {len(images)} scenes, 9 places each"
        aim = PLACEMENT_AIM if chance == 0.25 else None
        rows.append(added(job, more, lambda: None, step, peer="the step without it", aim=aim, rounds=rounds))
    return rows


def times(job: Job, number: int) -> Job:
    """The job so many times; the clock of CPU time is coarse."""
    return lambda: [job() for _ in range(number)]


def run(quick: bool) -> list[Row]:
    """All."""
    rounds = 3 if quick else 9
    return [*against_torchvision(rounds), *per_image(rounds), drop_block(rounds), *placement(rounds)]
