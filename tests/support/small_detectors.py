"""Small detectors of each kind, on maps of 8, 12 and 16 channels."""

BACKBONE = {"name": "small", "widths": [8, 12, 16], "blocks": 1, "stem": 8}
RETINANET = {"kind": "retinanet", "backbone": BACKBONE, "channels": 16, "min_size": None}
FASTER_RCNN = {
    "kind": "faster-rcnn",
    "backbone": BACKBONE,
    "channels": 16,
    "min_size": None,
    "head": {"width": 32},
    "rpn": {"samples": 32, "train_proposals": [50, 30], "test_proposals": [50, 20]},
    "roi": {"samples": 16},
}
MASK_RCNN = FASTER_RCNN | {"kind": "mask-rcnn", "mask": {"layers": [16, 16], "width": 16}}
FAST_RCNN = {
    "kind": "fast-rcnn",
    "backbone": BACKBONE,
    "pyramid": True,
    "channels": 16,
    "min_size": None,
    "head": {"width": 32},
    "roi": {"samples": 16},
}
