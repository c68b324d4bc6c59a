"""Models of torchvision: the same boxes, labels and scores as they give themselves."""

from __future__ import annotations

import pytest
import torch
from torchvision.models import detection
from torchvision.models.detection.anchor_utils import AnchorGenerator
from torchvision.models.detection.backbone_utils import mobilenet_backbone

from workbench import wrap
from workbench.detectors.outside.torchvision_models import COCO
from workbench.errors import DataError

GENERATOR = torch.Generator().manual_seed(0)
IMAGES = [torch.randint(0, 256, (3, h, w), dtype=torch.uint8, generator=GENERATOR) for h, w in ((90, 120), (100, 70))]
PLAIN = {"weights": None, "weights_backbone": None}


@pytest.fixture(scope="module")
def ssd():
    """Random, with classes that differ from box to box."""
    torch.manual_seed(0)
    model = detection.ssdlite320_mobilenet_v3_large(**PLAIN).eval()
    for level in model.head.classification_head.module_list:
        torch.nn.init.normal_(level[1].bias, std=3.0)
    return model


@pytest.fixture(scope="module")
def fcos():
    """Random, with scores that differ."""
    torch.manual_seed(0)
    model = detection.fcos_resnet50_fpn(**PLAIN, num_classes=5, min_size=64, max_size=96, topk_candidates=60).eval()
    torch.nn.init.normal_(model.head.classification_head.cls_logits.weight, std=0.3)
    return model


@pytest.fixture(scope="module")
def rcnn():
    torch.manual_seed(0)
    backbone = mobilenet_backbone(
        backbone_name="mobilenet_v3_large", weights=None, fpn=True, norm_layer=torch.nn.BatchNorm2d
    )
    anchors = AnchorGenerator(((32, 64, 128),) * 3, ((0.5, 1.0, 2.0),) * 3)
    options = {"min_size": 64, "max_size": 96, "box_score_thresh": 0.0, "box_detections_per_img": 8}
    model = detection.MaskRCNN(backbone, 4, rpn_anchor_generator=anchors, rpn_post_nms_top_n_test=20, **options)
    return model.eval()


def own(model, images=IMAGES):
    """What the model itself gives."""
    with torch.no_grad():
        return model([image.float() / 255 for image in images])


def test_an_ssd_finds_box_by_box_what_it_finds_itself(ssd):
    """Of 91 outputs, background and ten gaps are no class; the rest are COCO's 80 in their order."""
    detector = wrap(ssd)
    for want, got in zip(own(ssd), detector.detect(IMAGES), strict=True):
        kept = torch.tensor([COCO[int(label)] not in ("N/A", "__background__") for label in want["labels"]])
        assert 20 < int(kept.sum()) < len(kept), "random weights find gaps as well"
        assert torch.equal(got.boxes, want["boxes"][kept])
        assert torch.equal(got.scores, want["scores"][kept])
        names = [COCO[int(label)] for label in want["labels"][kept]]
        assert [detector.classes[label - 1] for label in got.labels] == names
    assert len(detector.classes) == 80
    assert detector.notes == ()
    assert not hasattr(detector, "score_boxes")


def test_an_fcos_keeps_less_than_ap_needs_and_says_so(fcos):
    detector = wrap(fcos, ["a", "b", "c", "d"], score_threshold=0.0)
    fcos.score_thresh = 0.0
    wanted = own(fcos)
    fcos.score_thresh = 0.2
    for want, got in zip(wanted, detector.detect(IMAGES), strict=True):
        kept = want["labels"] > 0
        assert int(kept.sum()) > 10
        order = want["scores"][kept].argsort(descending=True, stable=True)
        assert torch.equal(got.boxes, want["boxes"][kept][order])
        assert torch.equal(got.labels, want["labels"][kept][order])
    assert fcos.score_thresh == 0.2, "the model has its own threshold again"
    assert "FCOS: it leaves out detections that score below 0.2, which lowers AP" in wrap(fcos, list("abcd")).notes[0]
    assert detector.notes == ()


def test_an_r_cnn_gives_masks_and_scores_boxes(rcnn):
    detector = wrap(rcnn, ["a", "b", "c"])
    wanted, found = own(rcnn), detector.detect(IMAGES)
    for want, got in zip(wanted, found, strict=True):
        assert len(got) == len(want["boxes"]) > 5
        assert torch.equal(got.boxes, want["boxes"])
        assert torch.equal(got.labels, want["labels"])
        assert torch.equal(got.masks, want["masks"][:, 0] > 0.5)
    assert detector.mask_key == "masks"
    boxes = [torch.tensor([[10.0, 5, 60, 50], [0, 0, 90, 80]]), torch.zeros(0, 4)]
    scores = detector.score_boxes(IMAGES, boxes)
    assert [tuple(one.shape) for one in scores] == [(2, 4), (0, 4)]
    torch.testing.assert_close(scores[0].sum(dim=1), torch.ones(2))


def test_scores_of_boxes_are_those_of_the_models_own_detections(rcnn):
    """A class-agnostic check: where the regression is nought, a proposal's scores are those of its detection."""
    last = rcnn.roi_heads.box_predictor.bbox_pred
    kept = {name: value.clone() for name, value in last.state_dict().items()}
    torch.nn.init.zeros_(last.weight)
    torch.nn.init.zeros_(last.bias)
    detector = wrap(rcnn, ["a", "b", "c"])
    (found,) = detector.detect(IMAGES[:1])
    (scores,) = detector.score_boxes(IMAGES[:1], [found.boxes])
    last.load_state_dict(kept)
    torch.testing.assert_close(scores.gather(1, found.labels[:, None])[:, 0], found.scores, atol=1e-4, rtol=0)


def test_the_number_of_names_must_be_that_of_its_classes(fcos, ssd):
    with pytest.raises(DataError, match="FCOS: it has 4 classes and came with the names of 2"):
        wrap(fcos, ["a", "b"])
    with pytest.raises(DataError, match=r"FCOS: the names of its classes are not known; give them: wrap\("):
        wrap(fcos)
    with pytest.raises(DataError, match=r"SSD: 'telly' is none of its classes"):
        wrap(ssd, ["person", "telly"])
    assert wrap(ssd, ["tv", "person"]).classes == ("tv", "person")
    assert wrap(ssd, {"tv": "tvmonitor"}).classes[62] == "tvmonitor"
    assert wrap(torch.nn.DataParallel(ssd)).classes == wrap(ssd).classes
