"""What the parts of AOFD cost in a training step: the generator, the masks without it, and the occlusion branch.

Each part is timed by itself, both directions and with its own optimiser where it learns, against the plain step of
the same detector (300 px, batch 2, a quarter of the RoIs objects).
"""

from __future__ import annotations

import torch
from bench_adversary import own_part
from bench_faster_rcnn import SIZE, our_loss, photographs, step_of
from bench_inverted_attention import CONFIGS, PLAIN, detector_of
from measure import Job, Row, added, ratio

from workbench.detectors import Detector
from workbench.detectors.branches.occlusion import KEY, OcclusionBranch
from workbench.hardeners import Hardener, MaskGenerator, OcclusionMasks
from workbench.training.recipe_sections import Stage
from workbench.training.stepping.stages import select_players

HARDENERS: dict[str, tuple[type[Hardener], str, float | None]] = {
    "mask generator, fixed": (MaskGenerator, "detector", 1.10),
    "mask generator, learning beside the detector": (MaskGenerator, "both", None),  # the paper never does
    "occlusion masks": (OcclusionMasks, "detector", 1.02),
}
GENERATOR_AIM, BRANCH_AIM = 1.10, 1.10


def branch_part(detector: Detector, targets: list[dict]) -> tuple[Job, Job]:
    """The occlusion branch on the detector's maps, both directions; less is nothing at all."""
    images = [torch.rand(3, SIZE, SIZE) for _ in targets]
    with torch.no_grad():
        batch = detector.prepare(images)
        maps = [one.requires_grad_() for one in detector.maps(batch)]
    height, width = batch.image_sizes[0]
    hidden = torch.zeros(height, width, dtype=torch.uint8)
    hidden[height // 3 : height // 2] = 1
    labelled = [{"boxes": target["boxes"], KEY: hidden} for target in targets]
    pool = detector.roi_heads.pool
    branch = OcclusionBranch(maps[0].shape[1], pool.strides)
    own = list(branch.head.parameters())
    optimizer = torch.optim.SGD(own, 1e-12, 0.9)

    def more() -> None:
        optimizer.zero_grad()
        loss = branch.losses(batch, maps, labelled)["occlusion"]
        loss.backward()
        optimizer.step()

    return more, lambda: None


def stage_of_the_generator(detector: Detector, images: list, targets: list) -> Job:
    """A step of the stage in which the generator learns alone: the detector is frozen, and has forgotten it after."""
    detector.take_hardener(MaskGenerator())
    generator = detector.hardener
    optimizer = torch.optim.SGD(generator.parameters(), 1e-12, 0.9)
    learns = {name for name, one in detector.named_parameters() if one.requires_grad}
    detector.hardener = None

    def step() -> None:
        detector.hardener = generator
        select_players(detector, Stage(steps=1, lr=1.0, train="hardener"), learns)
        optimizer.zero_grad()
        detector.losses(images, targets, torch.Generator().manual_seed(0)).total.backward()
        optimizer.step()
        detector.hardener = None
        select_players(detector, Stage(steps=1, lr=1.0), learns)

    return step


def run(quick: bool) -> list[Row]:
    """All of it."""
    rounds = 2 if quick else 5
    rows = []
    for name, (config, _) in CONFIGS.items():
        detector = detector_of(config)
        images, targets = photographs()
        whole = step_of(list(detector.parameters()), our_loss(detector, images, targets, bf16=False), ours=True)
        alone = stage_of_the_generator(detector, images, targets)
        job = f"mask generator, learning alone, {name}, step"
        rows.append(ratio(job, alone, whole, peer=PLAIN, aim=GENERATOR_AIM, rounds=rounds))
        for what, (kind, train, aim) in HARDENERS.items():
            torch.manual_seed(0)
            more, less = own_part(detector, kind(), train)
            detector.hardener = None
            rows.append(added(f"{what}, {name}, part", more, less, whole, peer=PLAIN, aim=aim, rounds=rounds))
        more, less = branch_part(detector, targets)
        job = f"occlusion branch, {name}, part"
        rows.append(added(job, more, less, whole, peer=PLAIN, aim=BRANCH_AIM, rounds=rounds))
    return rows
