"""Images of odd kinds, and JSON that is whole or not there."""

import json
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from workbench.data.reading import images as files
from workbench.data.reading.images import image_size, read_image
from workbench.errors import DataError
from workbench.files import write_json

PIXELS = np.random.default_rng(0).integers(0, 256, (12, 17, 3), dtype=np.uint8)


@pytest.mark.parametrize(
    ("mode", "ending"),
    [("RGB", "png"), ("RGB", "jpg"), ("RGB", "bmp"), ("RGB", "webp"), ("L", "jpg"), ("L", "png"), ("LA", "png"),
     ("RGBA", "png"), ("P", "png"), ("P", "gif"), ("1", "png"), ("I;16", "png"), ("CMYK", "jpg")],
)  # fmt: skip
def test_every_kind_becomes_rgb(tmp_path: Path, mode: str, ending: str) -> None:
    picture = Image.fromarray(PIXELS)
    picture = picture.convert("I").convert("I;16") if mode == "I;16" else picture.convert(mode)
    path = tmp_path / f"x.{ending}"
    picture.save(path)
    image = read_image(path)
    assert image.shape == (3, 12, 17)
    assert str(image.dtype) == "torch.uint8"
    assert image_size(path) == (12, 17)
    if (mode, ending) in {("RGB", "png"), ("RGB", "bmp"), ("L", "png")}:
        expected = np.asarray(picture.convert("RGB")).transpose(2, 0, 1)
        assert np.array_equal(image.numpy(), expected)


def test_pillow_reads_the_same_where_torchvision_no_longer_does(tmp_path: Path, monkeypatch) -> None:
    path = tmp_path / "x.jpg"
    Image.fromarray(PIXELS).save(path)
    first = read_image(path)
    monkeypatch.setattr(files, "_decode_jpeg", None)
    assert np.array_equal(first.numpy(), read_image(path).numpy())


@pytest.mark.parametrize("content", [b"", b"not an image", b"\x89PNG\r\n\x1a\n", b"\xff\xd8\xff\xe0"])
def test_what_is_no_image(tmp_path: Path, content: bytes) -> None:
    path = tmp_path / "x.png"
    path.write_bytes(content)
    for read in (read_image, image_size):
        with pytest.raises(DataError, match=r"x\.png: this image cannot be read"):
            read(path)


def test_json_is_written_whole_or_not_at_all(tmp_path: Path) -> None:
    path = tmp_path / "x.json"
    write_json({"a": 1}, path)
    with pytest.raises(ValueError, match="not JSON compliant"):
        write_json({"a": [0.0] * 10_000 + [float("nan")]}, path)
    with pytest.raises(TypeError):
        write_json({"a": object()}, path)
    assert json.loads(path.read_text()) == {"a": 1}
    assert [entry.name for entry in tmp_path.iterdir()] == ["x.json"]
    with pytest.raises(FileNotFoundError):
        write_json({}, tmp_path / "nowhere" / "x.json")
