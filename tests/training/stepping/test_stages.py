"""Who plays in a stage: mining and jitter can sit out, and an adversary alone survives images without objects."""

from __future__ import annotations

import pytest
import torch
from stages import stage

from workbench.detectors import build_detector
from workbench.hardeners import build_hardener
from workbench.training.recipe import Recipe
from workbench.training.stepping.stages import select_players

SMALL = {"kind": "faster-rcnn", "backbone": {"name": "small"}, "min_size": None}


def begin(detector, **options) -> None:
    learns = {name for name, _ in detector.named_parameters()}
    select_players(detector, stage(**options), learns)


def test_a_stage_can_leave_mining_and_jitter_out(monkeypatch):
    """As voc2007-mini+ohem does in its stage of plain training."""
    roi = {"mining": {"kind": "ohem", "kept": 8}, "jitter": {}, "samples": 4}
    detector = build_detector(SMALL | {"roi": roi}, ("a",))
    target = {"boxes": torch.tensor([[10.0, 10, 40, 40]]), "labels": torch.tensor([1])}
    asked = []
    head, jitter = detector.roi_heads, detector.roi_heads.jitter
    for owner, name in ((head, "mine"), (jitter, "move"), (jitter, "turn")):
        kept = getattr(owner, name)
        monkeypatch.setattr(owner, name, lambda *given, n=name, f=kept: asked.append(n) or f(*given))
    counts = []
    loss = head.roi_losses
    monkeypatch.setattr(head, "roi_losses", lambda *given: counts.append(len(given[0])) or loss(*given))
    for harden in (False, True):
        begin(detector, harden=harden)
        detector.losses([torch.rand(3, 64, 64)], [target], torch.Generator().manual_seed(0))
        assert asked == (["move", "mine", "turn"] if harden else [])
    assert counts[0] == 4, "drawn, as in plain training"
    assert counts[-1] == 8, "the hardest of all"


def test_a_stage_can_say_how_many_rois_are_objects():
    """As the released code does while ASDN is pre-trained."""
    detector = build_detector(SMALL | {"roi": {"samples": 8}}, ("a",))
    target = {"boxes": torch.tensor([[10.0, 10, 40, 40]]), "labels": torch.tensor([1])}
    near, far = torch.tensor([[11.0, 11, 40, 40]]), torch.tensor([[0.0, 0, 8, 8]])
    boxes = [torch.cat([near.repeat(20, 1), far.repeat(20, 1)])]
    counts = []
    for fraction in (None, 0.75):
        begin(detector, positive_fraction=fraction)
        _, (labels,), *_ = detector.roi_heads.sample(boxes, [target])
        counts.append((len(labels), int((labels > 0).sum())))
    assert counts == [(8, 2), (8, 6)]


def test_a_detector_passes_a_stage_on_to_its_hardener():
    detector = build_detector(SMALL, ("a",), build_hardener([{"kind": "asdn"}, {"kind": "random-dropout"}]))
    detector.begin_stage(stage("hardener"))
    assert not detector.training
    assert not detector.backbone.training
    assert detector.hardener.hardeners[0].learning == "hardener"
    assert all(part.training and part.active for part in detector.hardener.modules() if hasattr(part, "active"))
    detector.begin_stage(stage("both", harden=False))
    assert detector.training
    assert detector.backbone.training
    assert detector.hardener.hardeners[0].learning == "both"
    assert not any(part.active for part in detector.hardener.modules() if hasattr(part, "active"))


@pytest.mark.parametrize("hardener", [{"kind": "asdn"}, {"kind": "astn"}, [{"kind": "asdn"}, {"kind": "astn"}]])
@pytest.mark.parametrize("kind", ["faster-rcnn", "fast-rcnn"])
def test_an_adversary_alone_takes_a_step_on_images_without_objects(kind, hardener):
    detector = build_detector(SMALL | {"kind": kind, "pyramid": True}, ("a",), build_hardener(hardener))
    begin(detector, train="hardener")
    nothing = {"boxes": torch.zeros(0, 4), "labels": torch.zeros(0, dtype=torch.long)}
    target = nothing | {"proposals": torch.tensor([[5.0, 5, 40, 40]])}
    losses = detector.losses([torch.rand(3, 64, 64)], [target], torch.Generator().manual_seed(0))
    assert losses["adversary"] == 0
    losses.total.backward()
    learning = [p for p in detector.parameters() if p.requires_grad]
    assert learning
    assert all(p.grad is not None and not p.grad.any() for p in learning)


def test_the_random_control_drops_cells_of_objects_only():
    """As ASDN does, and as many: A-Fast-RCNN, Table 2."""
    for name in ("digits", "voc07-alexnet"):
        control = build_hardener(Recipe.load(f"a-fast-rcnn/{name}+random-dropout", trial=False).hardener)
        asdn = build_hardener(Recipe.load(f"a-fast-rcnn/{name}+asdn", trial=False).hardener)
        assert control.foreground_only
        assert control.share == 1
        assert control.drop == pytest.approx(asdn.drop, abs=1e-6)
        assert control.clean_images == asdn.clean_images


def test_some_parts_alone_learn_and_batch_norm_of_the_others_keeps_its_statistics():
    """Those of a frozen trunk are not among them; the next stage, which does not say so, lets all learn again."""
    detector = build_detector(SMALL, ("a",), build_hardener({"kind": "asdn"}))
    begin(detector, learns=["rpn.*", "roi_heads.box_predictor.*"])
    learning = {name for name, each in detector.named_parameters() if each.requires_grad}
    parts = {"rpn", "roi_heads"}
    assert {name.partition(".")[0] for name in learning} == parts
    assert not any(name.startswith("roi_heads.box_head") for name in learning)
    norms = [part for part in detector.backbone.modules() if isinstance(part, torch.nn.BatchNorm2d)]
    assert norms
    assert not any(part.training for part in norms)
    assert detector.rpn.training
    begin(detector, train="both", learns=["rpn.*"])
    assert any(each.requires_grad for each in detector.hardener.parameters())
    begin(detector)
    assert all(part.training for part in norms)
    assert all(each.requires_grad for each in detector.backbone.parameters())
