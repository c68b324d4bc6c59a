"""What the doctor says of pictures: what is wrong with their files, and what others may show otherwise."""

from __future__ import annotations

from pathlib import Path

from workbench.data.reading.images import Header, open_picture, read_header
from workbench.data.reading.problems import Problem


def picture_problems(path: Path, where: str, stated: tuple[int, int] | None = None) -> list[Problem]:
    """What is wrong with, or unusual about, a picture that is decoded to its last byte.

    Args:
        path: of the picture.
        where: the picture in words.
        stated: height and width that its annotation states; None: it states none.

    Raises:
        DataError: it cannot be read. Pillow, unlike the quick decoder of JPEG, minds truncation.
    """
    with open_picture(path) as picture:
        picture.load()
    header = read_header(path)
    if stated is not None and header.size != stated == header.stored_size:
        what = (
            f"its annotation states the size as stored (EXIF orientation {header.orientation}), so it is not turned"
        )
        return [Problem("warning", where, what, "See that its boxes lie on their objects, or save it upright.")]
    return [*_unusual(header, where), *(size_problems(header.size, where, stated) if stated else [])]


def size_problems(size: tuple[int, int], where: str, stated: tuple[int, int]) -> list[Problem]:
    """Whether a picture of `size` (height, width) has the stated one."""
    if size == stated:
        return []
    true, said = (f"{height} × {width}" for height, width in (size, stated))
    what = f"the image is {true} pixels, its annotation says {said}"
    return [Problem("error", where, what, "Annotate at the size of the file.")]


def _unusual(header: Header, where: str) -> list[Problem]:
    found = []
    if header.orientation != 1:
        what = f"the image is stored turned (EXIF orientation {header.orientation}) and is read upright"
        fix = "See that its boxes lie on the upright image, or save it upright."
        found.append(Problem("warning", where, what, fix))
    if header.deep:
        grey = header.mode.startswith("I") or header.mode == "F"
        kept = "which are scaled to 8" if grey else "of which the upper 8 are read"
        what = f"the image has more than 8 bits a channel (Pillow's mode {header.mode}), {kept}"
        found.append(Problem("warning", where, what, "Save it with 8 bits, in the range that matters."))
    if header.frames > 1:
        what = f"the image has {header.frames} frames, and only the first is read"
        found.append(Problem("warning", where, what, "Save the frames as images of their own."))
    return found
