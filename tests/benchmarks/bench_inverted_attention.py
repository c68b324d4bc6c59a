"""What Inverted Attention costs: a training step with it against the same step without, and where the gain is from.

Both steps belong to one detector (300 px, batch 2, the published 20 % of RoIs masked, the same draws); only its
hardener is put in and taken out. The paper itself reports 1.05 to 1.08. Before timing: the masked share is right,
losses that the hardener cannot touch are equal, and the closed form of the pooled gradient is autograd's.
"""

from __future__ import annotations

import torch
from bench_faster_rcnn import CLASSES, SIZE, calm, our_loss, photographs, step_of
from measure import Job, Row, added, has_amx, must_agree, ratio, skipped
from torch import Tensor

from workbench.detectors import Detector, build_detector
from workbench.hardeners import InvertedAttention
from workbench.types import Score, Target

PLAIN = "the step without it"
CONFIGS: dict[str, tuple[dict, float]] = {
    "R50-FPN": (
        {"backbone": {"name": "resnet50", "norm": "frozen", "frozen_stages": 2}},
        1.03,
    ),
    "VGG16": (  # half of our default of 512 RoIs per image; the fewer there are, the more the attention weighs
        {"backbone": {"name": "vgg16"}, "pyramid": False, "roi": {"samples": 256}},
        1.05,
    ),
}


def detector_of(config: dict) -> Detector:
    """The detector with random weights."""
    torch.manual_seed(0)
    detector = build_detector({"kind": "faster-rcnn", "min_size": SIZE, "max_size": SIZE, **config}, CLASSES)
    calm(detector)
    return detector


def pooled(detector: Detector, images: list[Tensor], targets: list[Target]) -> tuple[Tensor, Tensor]:
    """Features [R, C, h, w] and labels [R] of as many RoIs as are masked in a step."""
    generator = torch.Generator().manual_seed(1)
    masked = round(0.2 * detector.roi_heads.samples)
    boxes, labels = [], []
    for target in targets:
        pick = torch.randint(0, len(target["boxes"]), (masked,), generator=generator)
        boxes.append(target["boxes"][pick] + torch.randn(masked, 1, generator=generator) * 5)
        labels.append(target["labels"][pick])
    return detector.roi_features(images, boxes), torch.cat(labels)


def check(name: str, detector: Detector, images: list[Tensor], targets: list[Target]) -> None:
    """Stop unless the hardener masks a fifth of the RoIs and leaves the proposals' losses alone."""
    shares = []
    hardener = InvertedAttention.paper()
    hardener.register_forward_hook(
        lambda _, __, hardened: shares.append(float((hardened.mask.flatten(1).min(1).values == 0).float().mean()))
    )
    seeds = (torch.Generator().manual_seed(5) for _ in range(2))
    with torch.no_grad():
        detector.hardener = None
        plain = detector.losses(images, targets, next(seeds))
        detector.hardener = hardener
        hard = detector.losses(images, targets, next(seeds))
    for part in ("objectness", "rpn_box"):
        must_agree(f"{name}, {part}", hard[part], plain[part], atol=0)
    must_agree(f"{name}, masked share", torch.tensor(shares), torch.tensor([0.2]), atol=0.005)
    if hard["classifier"] == plain["classifier"]:
        raise SystemExit(f"{name}: the hardener changed nothing")


def own_part(detector: Detector, hardener: InvertedAttention, *, bf16: bool) -> tuple[Job, Job]:
    """Between pooling and head, both directions: with the hardener, and only the copies that are made anyway."""
    rois = 2 * detector.roi_heads.samples
    channels = detector.roi_heads.box_head.fc6.in_features // 49
    generator = torch.Generator().manual_seed(2)
    kind = torch.bfloat16 if bf16 else torch.float32
    cells = torch.rand(rois, 7, 7, channels, generator=generator).to(kind)
    live = cells.permute(0, 3, 1, 2).requires_grad_()
    upstream = torch.randn(rois, channels * 49, generator=generator).to(kind)
    labels = torch.randint(0, len(CLASSES) + 1, (rois,), generator=generator)
    boxes = torch.zeros(rois, 4)

    def both_ways(features: Tensor) -> None:
        gradient = torch.autograd.grad(features.flatten(1), live, upstream)[0]
        gradient.permute(0, 2, 3, 1).contiguous()

    def more() -> None:
        seed = torch.Generator().manual_seed(0)
        with torch.autocast("cpu", torch.bfloat16, enabled=bf16):
            if bf16:  # the head itself needs these copies of its weights too, so they are no extra cost
                detector.roi_heads(live.detach()[:1])
            both_ways(hardener(detector.roi_heads.batch(live, [boxes], [labels], seed)).features)

    def less() -> None:
        with torch.autocast("cpu", torch.bfloat16, enabled=bf16):
            if bf16:
                detector.roi_heads(live.detach()[:1])
            both_ways(live)

    return more, less


def run(quick: bool) -> list[Row]:
    """What is added to the step, whole steps against each other, and the closed form against autograd."""
    rows, rounds = [], 3 if quick else 9
    for name, (config, aim) in CONFIGS.items():
        detector = detector_of(config)
        images, targets = photographs()
        check(name, detector, images, targets)
        for bf16 in (False, True):
            kind = "bfloat16" if bf16 else "float32"
            job = f"Inverted Attention, {name}, {kind}"
            if bf16 and not has_amx():
                rows.append(skipped(job, PLAIN, None, "no AMX"))
                continue
            hardened, plain = steps(detector, images, targets, bf16=bf16)
            more, less = own_part(detector, InvertedAttention.paper(), bf16=bf16)
            limit = None if bf16 else aim  # the issue states them for float32
            rows.append(added(f"{job}, part", more, less, plain, peer=PLAIN, aim=limit, rounds=rounds))
            rows.append(ratio(f"{job}, step", hardened, plain, peer=PLAIN, aim=None, rounds=rounds))
        rows.append(closed_form(name, detector, images, targets, quick))
    return rows


def steps(detector: Detector, images: list[Tensor], targets: list[Target], *, bf16: bool) -> tuple[Job, Job]:
    """The training step with Inverted Attention, and without."""
    step = step_of(list(detector.parameters()), our_loss(detector, images, targets, bf16=bf16), ours=True)
    hardener = InvertedAttention.paper()

    def hardened() -> None:
        detector.hardener = hardener
        step()

    def plain() -> None:
        detector.hardener = None
        step()

    return hardened, plain


def closed_form(name: str, detector: Detector, images: list[Tensor], targets: list[Target], quick: bool) -> Row:
    """Pooled gradient of the masked RoIs: closed form against autograd through the head."""
    score = detector.head_score()
    features, labels = pooled(detector, images, targets)
    ours = score.pooled_gradient(features, labels)
    theirs = Score.pooled_gradient(score, features, labels)
    scale = float(theirs.abs().max())
    must_agree(f"{name}, pooled gradient", ours / scale, theirs / scale, atol=1e-5)
    return ratio(
        f"Inverted Attention, pooled gradient, {name}",
        lambda: score.pooled_gradient(features, labels),
        lambda: Score.pooled_gradient(score, features, labels),
        peer="autograd",
        aim=None,
        rounds=3 if quick else 9,
    )
