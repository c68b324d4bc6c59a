"""The published forms of RetinaNet as values of its options; `retinanet` has the table."""

from __future__ import annotations

from workbench.errors import RecipeError

BY_FORM = "by form"  #: the value of an option that its form decides
THESIS = {
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


def with_form(form: str, given: dict[str, object]) -> dict[str, object]:
    """`given`, with what is left to the form filled in. Raises RecipeError for a form that does not exist."""
    if form not in FORMS:
        raise RecipeError(f"detector.form {form!r} does not exist; choose one of {list(FORMS)}")
    said = {name: value for name, value in given.items() if not (isinstance(value, str) and value == BY_FORM)}
    return FORMS[form] | said
