"""Images of odd kinds, and JSON that is whole or not there."""

import os
import subprocess
import sys
import tracemalloc
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from workbench.data.reading import images as files
from workbench.data.reading.images import image_size, read_header, read_image, read_sized, stored_size
from workbench.data.reading.picture_problems import picture_problems
from workbench.errors import DataError

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


UPRIGHT = np.full((16, 12, 3), 90, np.uint8)
UPRIGHT[1:6, 2:7] = (220, 20, 20)
TURNS = {
    2: Image.Transpose.FLIP_LEFT_RIGHT, 3: Image.Transpose.ROTATE_180, 4: Image.Transpose.FLIP_TOP_BOTTOM,
    5: Image.Transpose.TRANSPOSE, 6: Image.Transpose.ROTATE_90, 7: Image.Transpose.TRANSVERSE,
    8: Image.Transpose.ROTATE_270,
}  # fmt: skip


def stored(path: Path, orientation: int) -> Path:
    """A picture whose pixels are stored so that this EXIF orientation turns them upright."""
    exif = Image.Exif()
    exif[0x0112] = orientation
    Image.fromarray(UPRIGHT).transpose(TURNS[orientation]).save(
        path, exif=exif, quality=100, subsampling=0, lossless=True
    )
    return path


@pytest.mark.parametrize("ending", ["jpg", "png", "webp", "tif"])
@pytest.mark.parametrize("orientation", TURNS)
def test_pictures_are_upright(tmp_path: Path, orientation: int, ending: str) -> None:
    path = stored(tmp_path / f"x.{ending}", orientation)
    image = read_image(path).numpy().transpose(1, 2, 0).astype(int)
    assert image.shape == UPRIGHT.shape
    assert np.abs(image - UPRIGHT).mean() < 6
    assert image_size(path) == (16, 12)
    header = read_header(path)
    assert header.orientation == orientation
    assert header.stored_size == ((12, 16) if orientation >= 5 else (16, 12))
    assert stored_size(path) == header.stored_size


@pytest.mark.parametrize("orientation", [2, 3, 4, 5, 6, 7, 8])
@pytest.mark.parametrize("ending", ["png", "tif"])
def test_pictures_as_they_are_stored(tmp_path: Path, orientation: int, ending: str) -> None:
    exif = Image.Exif()
    exif[0x112] = orientation
    stored = Image.fromarray(UPRIGHT).transpose(TURNS[orientation])
    stored.save(tmp_path / f"x.{ending}", exif=exif)
    read = read_image(tmp_path / f"x.{ending}", upright=False).numpy().transpose(1, 2, 0)
    assert np.array_equal(read, np.asarray(stored))


def test_colours_of_16_bits_are_said(tmp_path: Path) -> None:
    cv2 = pytest.importorskip("cv2")
    cv2.imwrite(str(tmp_path / "deep.png"), PIXELS.astype(np.uint16) * 257)
    Image.fromarray(PIXELS).save(tmp_path / "plain.png")
    assert (read_header(tmp_path / "deep.png").deep, read_header(tmp_path / "plain.png").deep) == (True, False)
    assert np.array_equal(read_image(tmp_path / "deep.png").numpy(), PIXELS[:, :, ::-1].transpose(2, 0, 1))
    [problem] = picture_problems(tmp_path / "deep.png", "here", (12, 17))
    assert "more than 8 bits a channel (Pillow's mode RGB), of which the upper 8 are read" in problem.what
    assert picture_problems(tmp_path / "plain.png", "here", (12, 17)) == []


def test_a_size_that_is_stated_as_stored_keeps_the_pixels_as_stored(tmp_path: Path) -> None:
    path = stored(tmp_path / "x.png", 6)
    assert read_sized(path, (16, 12), tmp_path / "a.json").shape == (3, 16, 12)
    turned = read_sized(path, (12, 16), tmp_path / "a.json").numpy()
    assert np.array_equal(turned, np.asarray(Image.open(path)).transpose(2, 0, 1))
    with pytest.raises(
        DataError, match=r"16 × 12 pixels \(upright, by EXIF orientation 6\), but .*a\.json says 5 × 5"
    ):
        read_sized(path, (5, 5), tmp_path / "a.json")


@pytest.mark.parametrize(
    ("values", "expected"),
    [
        (np.array([[0, 257, 65535]], np.uint16), [0, 1, 255]),
        (np.array([[0, 16, 4095]], np.uint16), [0, 1, 255]),  # 12 bits in a file of 16
        (np.array([[0, 100, 255]], np.uint16), [0, 100, 255]),
        (np.array([[0, 32767, 65535]], np.int32), [0, 127, 255]),
        (np.array([[0, 0.5, 1]], np.float32), [0, 128, 255]),
        (np.array([[0, 100, 255]], np.float32), [0, 100, 255]),
        (np.array([[-1, 0, 1]], np.float32), [0, 128, 255]),
        (np.array([[np.nan, 0, 1]], np.float32), [0, 0, 255]),
        (np.zeros((1, 3), np.uint16), [0, 0, 0]),
    ],
)
def test_more_than_8_bits_are_scaled(tmp_path: Path, values: np.ndarray, expected: list[int]) -> None:
    Image.fromarray(values).save(tmp_path / "x.tif")
    image = read_image(tmp_path / "x.tif")
    assert image.shape == (3, 1, 3)
    assert image[0, 0].tolist() == pytest.approx(expected, abs=1)


def test_the_first_frame_counts(tmp_path: Path) -> None:
    frames = [Image.new("RGB", (9, 8), colour) for colour in ("red", "green", "blue")]
    frames[0].save(tmp_path / "x.gif", save_all=True, append_images=frames[1:])
    assert read_image(tmp_path / "x.gif")[:, 0, 0].tolist() == [255, 0, 0]
    assert read_header(tmp_path / "x.gif").frames == 3


@pytest.mark.parametrize("name", ["x", "x.txt", "x.png"])
def test_the_content_decides_and_not_the_name(tmp_path: Path, name: str) -> None:
    Image.fromarray(PIXELS).save(tmp_path / name, format="JPEG")
    assert read_image(tmp_path / name).shape == (3, 12, 17)


@pytest.mark.parametrize("content", [b"%!PS-Adobe-3.0 EPSF-3.0\n%%BoundingBox: 0 0 9 9\n", b"%PDF-1.4\n", b"<svg/>"])
def test_what_is_no_raster_format_is_never_opened(tmp_path: Path, content: bytes) -> None:
    (tmp_path / "x.jpg").write_bytes(content)
    with pytest.raises(DataError, match=r"x\.jpg: this image cannot be read \(it is none of JPEG, PNG"):
        read_image(tmp_path / "x.jpg")


def test_pixels_are_counted_before_they_are_decoded(tmp_path: Path) -> None:
    """A file of some kilobytes that would take more than a gigabyte."""
    path = tmp_path / "x.png"
    Image.new("1", (20_000, 20_000)).save(path)
    assert path.stat().st_size < 100_000
    tracemalloc.start()
    with pytest.raises(DataError, match=r"x\.png: the image has .* pixels; expected at most 89,478,485"):
        read_image(path)
    assert tracemalloc.get_traced_memory()[1] < 2_000_000
    tracemalloc.stop()


def test_pipes_and_folders_end_with_an_error(tmp_path: Path) -> None:
    os.mkfifo(tmp_path / "pipe.jpg")
    for path in (tmp_path / "pipe.jpg", tmp_path):
        with pytest.raises(DataError, match="a folder or a device, not a picture"):
            read_image(path)
    with pytest.raises(DataError, match=r"none\.jpg: this image does not exist"):
        read_image(tmp_path / "none.jpg")


def test_flipped_bits_give_a_picture_or_an_error(tmp_path: Path) -> None:
    """In a process of their own: decoders of others have ended the process."""
    noise = np.random.default_rng(1).integers(0, 256, (24, 31, 3), dtype=np.uint8)
    files = [tmp_path / f"a.{ending}" for ending in ("jpg", "png", "gif", "bmp", "tif", "webp")]
    for file in files:
        Image.fromarray(noise).save(file)
    code = """
import sys, warnings
from pathlib import Path
import numpy as np
from workbench.data.reading.images import read_image
from workbench.errors import DataError
warnings.simplefilter("ignore")
for file in map(Path, sys.argv[1:]):
    whole, rng = file.read_bytes(), np.random.default_rng(0)
    print(file.name, flush=True)
    for _ in range(150):
        broken = bytearray(whole)
        for _ in range(rng.integers(1, 4)):
            broken[rng.integers(len(broken))] ^= 1 << rng.integers(8)
        path = file.with_name("broken")
        path.write_bytes(broken[: rng.integers(1, len(broken))] if rng.random() < 0.2 else broken)
        try:
            image = read_image(path)
            assert image.ndim == 3 and image.shape[0] == 3 and str(image.dtype) == "torch.uint8"
        except DataError as error:
            assert str(path) in str(error)
"""
    done = subprocess.run([sys.executable, "-c", code, *map(str, files)], capture_output=True, text=True)
    assert done.returncode == 0, f"{done.stdout[-10:]}: {done.stderr[-2000:]}"


def test_for_its_size_the_end_of_a_picture_is_not_needed(tmp_path: Path) -> None:
    """Such a picture is one that cannot be decoded, which is said when it is."""
    rng = np.random.default_rng(0)
    Image.fromarray(rng.integers(0, 256, (200, 300, 3), dtype=np.uint8)).save(tmp_path / "x.png")
    content = (tmp_path / "x.png").read_bytes()
    (tmp_path / "x.png").write_bytes(content[:1000])
    assert stored_size(tmp_path / "x.png") == (200, 300)
    with pytest.raises(DataError, match=r"x\.png: this image cannot be read"):
        read_image(tmp_path / "x.png")
    for name, words in (("gone.png", "does not exist"), ("text.png", "cannot be read"), ("", "a folder or a device")):
        (tmp_path / "text.png").write_text("no picture")
        with pytest.raises(DataError, match=words):
            stored_size(tmp_path / name)
