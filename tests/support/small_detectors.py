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
FPN_MASK = {
    "kind": "fpn-mask",
    "backbone": BACKBONE,
    "channels": 16,
    "finest_scale": 16,
    "width": 32,
    "samples": 64,
    "min_size": None,
}
FAST_RCNN = {
    "kind": "fast-rcnn",
    "backbone": BACKBONE,
    "pyramid": True,
    "channels": 16,
    "min_size": None,
    "head": {"width": 32},
    "roi": {"samples": 16},
}
DEEP_MASK = {
    "kind": "deep-mask",
    "backbone": {"name": "small", "widths": [8, 12], "blocks": 1, "stem": 6},
    "size": 64,
    "pools": 3,
    "features": 8,
    "width": 24,
    "score_width": 16,
    "mask_size": 16,
    "context": 16,
    "dropout": 0.0,
    "patches": {"scales": [-1.0, 1.0]},
    "scales": [-1.0, 0.5],
}
SHARP_MASK = DEEP_MASK | {"kind": "sharp-mask", "k": 8}
