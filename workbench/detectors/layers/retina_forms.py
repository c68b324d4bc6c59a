"""The published forms of RetinaNet (Lin's thesis, ch. 5) as values of its options.

| | `thesis` | `released` | `torchvision` | `torchvision-v2` |
|---|---|---|---|---|
| loss divided by | positives of the image | of the batch | of the image | of the image |
| box loss | smooth L1, bend at 0.11 | the same | L1 | GIoU |
| P6 from | C5 | C5 | P5 | C5 |
| anchors | 32 · 2^(i/3), exact | exact | whole pixels | whole pixels |
| a logit for background | no | no | yes, unused | yes, unused |
| GroupNorm in the subnets | no | no | no | yes |
| short and long side, pixels | 600, 1000 | 600, 1000 | 800, 1333 | 800, 1333 |
| detections per image | 100 | 100 | 300 | 300 |

`released` is the authors' later code (Detectron). Where the thesis is silent, `thesis` takes from there: the bend of
"standard smooth L1", the long side, 100 detections. Objects also match the anchors that fit them best, in all forms.
"""

from __future__ import annotations

from typing import Any, Literal

Form = Literal["thesis", "released", "torchvision", "torchvision-v2"]
ByForm = Literal["by form"]
BY_FORM: ByForm = "by form"  #: the value of an option that its form decides
THESIS: dict[str, Any] = {
    "normaliser": "image",
    "box_loss": {"kind": "smooth-l1", "beta": 0.11},
    "p6_from": "c5",
    "exact_anchors": True,
    "background_logit": False,
    "head_norm": None,
    "min_size": 600,
    "max_size": 1000,
    "max_detections": 100,
}
TORCHVISION = {
    "normaliser": "image",
    "box_loss": {"kind": "smooth-l1", "beta": 0.0},
    "p6_from": "p5",
    "exact_anchors": False,
    "background_logit": True,
    "head_norm": None,
    "min_size": 800,
    "max_size": 1333,
    "max_detections": 300,
}
FORMS = {
    "thesis": THESIS,
    "released": THESIS | {"normaliser": "batch"},
    "torchvision": TORCHVISION,
    "torchvision-v2": TORCHVISION | {"box_loss": {"kind": "giou"}, "p6_from": "c5", "head_norm": "group"},
}


def with_form(form: Form, given: dict[str, Any]) -> dict[str, Any]:
    """`given`, with what is left to the form filled in."""
    said = {name: value for name, value in given.items() if not (isinstance(value, str) and value == BY_FORM)}
    return FORMS[form] | said
