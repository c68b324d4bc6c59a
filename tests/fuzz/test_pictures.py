"""Pictures of all formats with damaged bytes, through the one door."""

from __future__ import annotations

import io
from pathlib import Path

import numpy as np
import torch
from campaign import cases, damaged, only_own_errors
from hypothesis import given
from hypothesis import strategies as st
from PIL import Image

import workbench as wb
from workbench.data.reading.images import image_size, read_header

PIXELS = np.random.default_rng(0).integers(0, 256, (24, 32, 3), dtype=np.uint8)


def encoded(form: str, mode: str = "RGB", **options: object) -> bytes:
    file = io.BytesIO()
    picture = (
        Image.fromarray(PIXELS[..., 0].astype(np.uint16) * 257)
        if mode == "I;16"
        else Image.fromarray(PIXELS).convert(mode)
    )
    picture.save(file, form, **options)
    return file.getvalue()


FILES = [
    encoded("PNG"), encoded("PNG", "P"), encoded("PNG", "I;16"), encoded("JPEG"), encoded("JPEG", progressive=True),
    encoded("JPEG", "CMYK"), encoded("GIF", "P"), encoded("BMP"), encoded("TIFF"),
    encoded("TIFF", compression="tiff_lzw"), encoded("WEBP"), encoded("PPM"), encoded("JPEG2000"),
]  # fmt: skip


@given(content=st.sampled_from(FILES).flatmap(damaged))
@cases(200)
def test_pictures(tmp_path: Path, content: bytes) -> None:
    path = tmp_path / "a.jpg"
    path.write_bytes(content)
    with only_own_errors():
        read_header(path)
        height, width = image_size(path)
        image = wb.read_image(path)
        assert image.shape == (3, height, width)
        assert image.dtype == torch.uint8
