"""Pictures of widgets as arrays."""

from __future__ import annotations

import io

import ipywidgets
import numpy as np
from PIL import Image


def pixels(image: ipywidgets.Image) -> np.ndarray:
    """What a picture shows, uint8 [H, W, 3]."""
    return np.asarray(Image.open(io.BytesIO(image.value)).convert("RGB"))
