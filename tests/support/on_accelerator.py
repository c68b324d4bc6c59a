"""All that has to work on an accelerator, as cases; as a program, runs them on the pretend one and prints JSON.

A case compares what it gives with the same on the CPU, or raises.
"""

from __future__ import annotations

import json
import sys
import tempfile
import traceback
from collections.abc import Callable
from functools import cache, partial
from pathlib import Path

import pretend_device
import torch
from pretend_device import NAME
from small_detectors import (
    BACKBONE,
    DEEP_MASK,
    FAST_RCNN,
    FASTER_RCNN,
    FPN_MASK,
    MASK_RCNN,
    RETINANET,
    SHARP_MASK,
)
from stages import stage

from workbench import Recipe, load_data
from workbench.analysis import adversary, anchor_losses, attention, deep_vectors, occlusion_response, pyramid
from workbench.analysis.occlusion_probe import OcclusionProbe, PlacedOccluder
from workbench.detectors import build_detector
from workbench.detectors.base import Detects, HasDifferences, HasRoIs, ScoresBoxes
from workbench.detectors.layers.feature_cache import FeatureCache
from workbench.detectors.layers.inputs import training_targets
from workbench.evaluation import evaluate, score_regions
from workbench.evaluation.speed import detection_times
from workbench.hardeners import build_hardener
from workbench.proposals import with_proposals
from workbench.registry import HARDENERS
from workbench.training.processes.world import choose_device
from workbench.training.stepping.batches import to_device
from workbench.training.trainer import train
from workbench.types import Proposals

CLASSES = tuple("0123456789")
SINGLE_MAP = {"kind": "faster-rcnn", "min_size": None, "pyramid": False, "rpn": FASTER_RCNN["rpn"]}
CLASSIFIER = {"kind": "classifier", "backbone": {"name": "small", "widths": [8, 12], "stem": 8}}
#: A small form of each kind of detector, and forms that take other ways.
DETECTORS_TRIED = {
    "faster-rcnn": FASTER_RCNN,
    "mask-rcnn": MASK_RCNN,
    "aofd": FASTER_RCNN | {"kind": "aofd", "pyramid": True, "branches": [{"kind": "occlusion", "stride": 4}]},
    "fast-rcnn": FAST_RCNN,
    "retinanet": RETINANET,
    "rpn": {"kind": "rpn", **{key: FASTER_RCNN[key] for key in ("backbone", "channels", "min_size", "rpn")}},
    "deep-mask": DEEP_MASK,
    "sharp-mask": SHARP_MASK,
    "fpn-mask": FPN_MASK,
    "classifier": CLASSIFIER,
    "dfv-decoder": {"kind": "dfv-decoder", "classifier": CLASSIFIER, "size": 32, "width": 32},
    "resized": FASTER_RCNN | {"min_size": 96, "max_size": 128},
    "moving average, GIoU": RETINANET | {"normaliser": "moving-average", "box_loss": {"kind": "giou"}},
    "anchor mining": RETINANET | {"mining": {"kind": "ohem"}},
    "mining, jitter": FASTER_RCNN | {"roi": {"samples": 16, "mining": {"kind": "ohem"}, "jitter": {}}},
    "max pooling, dropout": SINGLE_MAP
    | {"backbone": BACKBONE, "pooling": "max", "head": {"width": 32, "dropout": 0.5}},
    "conv head": FASTER_RCNN | {"head": {"kind": "conv-fc", "layers": [8], "width": 16}},
    "crowds left out": FAST_RCNN | {"roi": {"samples": 16, "crowd_share": 0.5}},
}
#: Options of hardeners without which nothing would be seen; a kind that is not here has its defaults.
OPTIONS = {
    "inverted-attention": {"share": 1.0},
    "astn": {"blocks": 2, "background_share": 0.5},
    "asdn": {"background_share": 0.5},
}


@cache
def scenes():
    return load_data("digit-scenes", split="test", length=4, size=64)


@cache
def digits():
    plan = {"pair_classes": 2, "pair_images": 2, "random_places": 1}
    return load_data("digits", split="test", occlusion=plan).subset(range(6))


def data_of(detector):
    return scenes() if detector.task == "detection" else digits()


def built(config: dict | str, hardener: object = None):
    torch.manual_seed(0)
    made = build_detector(config, CLASSES, build_hardener(hardener))
    return made.to(memory_format=torch.channels_last) if made.task == "detection" else made


def samples(detector):
    """Images and targets of a batch on the CPU, with masks and proposals."""
    data = detector.samples(data_of(detector))
    images, targets = zip(*(data[i] for i in range(2)), strict=True)
    targets = [dict(target) for target in targets]
    for target in targets:
        if detector.task == "detection":
            jittered = (
                target["boxes"].repeat(4, 1) + torch.arange(4.0).repeat_interleave(len(target["boxes"]))[:, None]
            )
            target["proposals"] = Proposals.ranked(jittered.clamp(0, 64))
            if "crowd_share" in detector.config.get("roi", {}):
                target["iscrowd"] = torch.arange(len(target["labels"])) == 0
    return list(images), targets


def both(act: Callable) -> None:
    """`act` on a device gives tensors by name; they are the same on the CPU and on the accelerator."""
    expected, found = act("cpu"), act(NAME)
    assert list(expected) == list(found), (list(expected), list(found))
    for name, value in expected.items():
        torch.testing.assert_close(
            found[name].cpu(), value, rtol=1e-3, atol=1e-4, msg=lambda text, n=name: f"{n}: {text}"
        )


def learn_and_look(config: dict | str) -> None:
    """Losses, gradients, a step, detections, scores, proposals."""

    def act(device):
        detector = built(config).to(device)
        images, targets = samples(detector)
        losses = detector.losses(images, targets, torch.Generator().manual_seed(1))
        losses.total.backward()
        found = {name: value.detach() for name, value in losses.items()}
        found |= {f"gradient of {n}": p.grad for n, p in detector.named_parameters() if p.grad is not None}
        torch.optim.AdamW(detector.parameters(), 1e-4).step()
        given = [target.get("proposals") for target in targets] if detector.needs_proposals else None
        if isinstance(detector, Detects):
            assert len(detector.detect(images, given)) == len(images)
        boxes = [target["boxes"] for target in targets]
        if isinstance(detector, ScoresBoxes):
            found |= {f"scores {i}": value for i, value in enumerate(detector.score_boxes(images, boxes))}
        if isinstance(detector, HasRoIs):
            found["features"] = detector.roi_features(images, boxes)
        if detector.proposes:
            detector.proposals(images, 5)
        return found

    both(act)


def wait_once() -> None:
    """What targets say is looked at by one wait for the device, however many images there are."""
    _, targets = samples(built(FASTER_RCNN))
    images, targets = to_device([torch.zeros(3, 64, 64)] * 6, targets * 3, torch.device(NAME))
    targets[4]["difficult"] = torch.ones_like(targets[4]["difficult"])
    with pretend_device.Waits() as waits:
        truth = training_targets(targets, images, len(CLASSES), torch.device(NAME))
    assert waits.number == 1
    assert [len(one["boxes"]) > 0 for one in truth] == [True] * 4 + [False, True]


def ignore() -> None:
    """Objects that are neither learned nor background, as they come from a loader."""

    def act(device, config):
        detector = built(config).to(device)
        images, targets = samples(detector)
        targets[0]["ignored"] = torch.arange(len(targets[0]["labels"])) == 0
        images, targets = to_device(images, targets, torch.device(device))
        losses = detector.losses(images, targets, torch.Generator().manual_seed(1))
        return {name: value.detach() for name, value in losses.items()}

    for config in (FASTER_RCNN, RETINANET, FPN_MASK):
        both(partial(act, config=config))


def harden(kind: str, train_: str) -> None:
    """A hardener in the detector that it fits, in each kind of stage."""
    acts_on = HARDENERS.class_of(kind).acts_on
    config = CLASSIFIER if acts_on == "vectors" else FASTER_RCNN

    def act(device):
        detector = built(config, {"kind": kind, **OPTIONS.get(kind, {})}).to(device)
        detector.begin_stage(stage(train_))
        if isinstance(detector, HasDifferences):
            detector.hardener.begin_epoch(lambda: detector.differences(digits_of_training().pairs))
        losses = detector.losses(*samples(detector), torch.Generator().manual_seed(1))
        losses.total.backward()
        detector.hardener.health  # noqa: B018, reads from the device
        return {name: value.detach() for name, value in losses.items()}

    both(act)


@cache
def digits_of_training():
    plan = {"pair_classes": 2, "pair_images": 2, "random_places": 1}
    return load_data("digits", split="train", occlusion=plan)


def evaluate_on(config: dict) -> None:
    """Evaluation with losses moves a detector there and back."""
    detector = built(config)
    data = data_of(detector)
    if detector.needs_proposals:
        data = with_proposals(data, kind="detector", name="digit-scenes/faster-rcnn", device=NAME, top=8)
    result = evaluate(detector, data, device=NAME, losses=True, progress=False, batch_size=2)
    assert result.losses
    assert detector.device.type == "cpu"
    detector.to(NAME)
    evaluate(detector, data, progress=False)


def look_under_occluders() -> None:
    """Given boxes are scored there, and the detectors moved back."""
    detectors = {kind: built(DETECTORS_TRIED[kind]) for kind in ("faster-rcnn", "retinanet")}
    few = {"kinds": ("grey",), "fractions": (0.5,), "least_size": 4, "progress": False}

    def act(device):
        report = score_regions(detectors, scenes(), device=device, **few)
        assert all(one.device.type == "cpu" for one in detectors.values())
        return {name: torch.from_numpy(getattr(report.looks, name)) for name in ("p_class", "p_object")}

    both(act)


def remember() -> None:
    """Maps of a frozen trunk that are remembered."""
    trunk = {**BACKBONE, "widths": [8, 12, 16]}
    for kind in ("faster-rcnn", "classifier"):
        frozen = built(
            CLASSIFIER if kind == "classifier" else SINGLE_MAP | {"backbone": trunk, "head": {"width": 16}}
        )
        frozen.to(NAME)
        images, _ = samples(frozen)
        if kind == "classifier":
            continue

        frozen.backbone.cache, before = FeatureCache(16), None
        batch = frozen.prepare(images)
        for _ in range(2):
            with torch.enable_grad():
                (maps,) = frozen.maps(batch)
            assert maps.device.type == NAME
            assert before is None or torch.equal(before, maps.cpu())
            before = maps.cpu()
        assert len(frozen.backbone.cache) == 2


def train_a_run(config: dict, hardener: object, stages: list[dict], data: dict, augment: dict | None = None) -> None:
    """Whole runs, resumed once, on the device that `auto` finds."""
    assert choose_device("auto") == torch.device(NAME, 0)
    recipe = Recipe.from_dict(
        {
            "data": data, "validation": {**data, "split": "test", "every": 2, "limit": 2},
            "detector": config, "hardener": hardener, "augment": augment or {},
            "stages": stages, "batch_size": 2, "lr_batch_size": 2, "device": "auto",
            "precision": "float32", "ema": 0.9, "checkpoint_every": 1, "log_every": 1,
        }
    )  # fmt: skip
    with tempfile.TemporaryDirectory() as folder:
        assert train(recipe, Path(folder))
        assert json.loads((Path(folder) / "environment.json").read_text())["device"] == f"{NAME}:0"
        (Path(folder) / "done.json").unlink()
        assert train(recipe, Path(folder)), "resumed"


def analyse_regions() -> None:
    """Attention, inversions, and adversaries, at boxes."""
    detector = built(FASTER_RCNN, [{"kind": "asdn"}, {"kind": "astn", "blocks": 2}]).to(NAME)
    image, target = scenes()[0]
    box = target["boxes"][0]
    seen = attention.roi_attention(detector, image, box)
    attention.inversions(detector, seen)
    attention.spread_table(detector, scenes(), [0, 1])
    features, labels = detector.roi_features([image], [target["boxes"]]), target["labels"].to(NAME)
    attention.masked_features(detector, features, labels)
    attention.cell_importance(detector.head_score(), features, labels)
    adversary.roi_adversary(detector, image, box, masks=2)
    adversary.harder_features(detector.hardener, detector.head_score(), features, labels)


def analyse_images() -> None:
    """Pyramids, windows, occlusion responses, the probe, and times."""
    detectors = {kind: built(DETECTORS_TRIED[kind]).to(NAME) for kind in ("faster-rcnn", "retinanet")}
    image, target = scenes()[0]
    for detector in detectors.values():
        view = pyramid.look(detector, image)
        pyramid.object_table(view, target, CLASSES)
        pyramid.pyramid_steps(detector, image)
        place = {"occluder_size": 16, "stride": 32}
        occlusion_response.occlusion_response(detector, image, target["boxes"][0], 1, **place)
    windows = anchor_losses.gather_windows(detectors["retinanet"], scenes(), batch_size=2)
    anchor_losses.hardest_windows(windows.negatives, windows.negatives.losses(), 3)
    probe = OcclusionProbe(detectors, image, target, classes=CLASSES)
    probe.answer(PlacedOccluder((8, 8, 40, 40)), 0)
    detection_times(detectors, [image], rounds=1)


def analyse_vectors() -> None:
    """Difference vectors, pairs, and the decoder."""
    classifier = built(CLASSIFIER).to(NAME)
    pairs = digits_of_training().pairs
    vectors = deep_vectors.pair_vectors(classifier, pairs)
    deep_vectors.pseudo_vectors(vectors)
    assert classifier.differences(pairs).device.type == NAME
    decoder = built(DETECTORS_TRIED["dfv-decoder"]).to(NAME)
    decoder.decode(vectors.clean)
    decoder.errors([digits().image(0)])


SCENES = {"name": "digit-scenes", "split": "train", "options": {"length": 4, "size": 64}}
DIGITS = {"name": "digits", "options": {"occlusion": {"pair_classes": 2, "pair_images": 2, "random_places": 1}}}
#: Parts hidden of every image, and by asking the detector; an area of 80 % leaves objects that are ignored.
HIDING = {
    "photometric": {},
    "scale_jitter": {"size": [64, 64], "range": [0.8, 1.2]},
    "hide": [
        {"kind": "copy-paste", "chance": 1.0},
        {"kind": "random-erasing", "chance": 1.0, "area": [0.8, 0.8], "where": "objects"},
        {"kind": "adversarial-placement", "chance": 1.0, "grid": 2},
    ],
}
RPN = DETECTORS_TRIED["rpn"]
FUSION = [{"kind": "asdn"}, {"kind": "astn", "blocks": 2}]
CASES: dict[str, Callable[[], None]] = {
    **{f"detector {name}": partial(learn_and_look, config) for name, config in DETECTORS_TRIED.items()},
    **{
        f"hardener {kind}, {who}": partial(harden, kind, who)
        for kind in HARDENERS.homes
        for who in (("both", "hardener", "detector") if kind in ("asdn", "astn") else ("detector",))
    },
    **{
        f"evaluate {kind}": partial(evaluate_on, DETECTORS_TRIED[kind])
        for kind in ("faster-rcnn", "mask-rcnn", "fast-rcnn", "retinanet", "classifier", "dfv-decoder")
    },
    "targets": wait_once,
    "remembered maps": remember,
    "run of an adversary": partial(
        train_a_run,
        FASTER_RCNN,
        FUSION,
        [{"steps": 1, "lr": 1e-3, "train": "hardener"}, {"steps": 1, "lr": 1e-3, "train": "both"}],
        SCENES,
    ),
    "run with hidden parts": partial(
        train_a_run, FASTER_RCNN, {"kind": "drop-block"}, [{"steps": 2, "lr": 1e-3}], SCENES, HIDING
    ),
    "run that asks losses": partial(
        train_a_run, RPN, None, [{"steps": 1, "lr": 1e-3}], SCENES, {"hide": HIDING["hide"][2:]}
    ),
    "ignored objects": ignore,
    "given boxes": look_under_occluders,
    "run of a classifier": partial(train_a_run, CLASSIFIER, {"kind": "dfv"}, [{"steps": 2, "lr": 1e-3}], DIGITS),
    "analyses of regions": analyse_regions,
    "analyses of images": analyse_images,
    "analyses of vectors": analyse_vectors,
}


def main() -> None:
    """Run the cases that are named, or all; the last line is their errors by name, None where there was none."""
    pretend_device.install()
    results = {}
    for name in sys.argv[1:] or CASES:
        try:
            CASES[name]()
            results[name] = None
        except Exception:
            results[name] = traceback.format_exc()
    print(json.dumps(results))


if __name__ == "__main__":
    main()
