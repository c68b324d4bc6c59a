"""What every widget can be but live: a still picture, a piece of HTML, a file to keep, and the way back from it."""

from __future__ import annotations

import base64
import html
import io
import json
import logging
import re
from collections.abc import Callable, Mapping
from os import PathLike
from pathlib import Path
from typing import Any

import ipywidgets
from matplotlib.figure import Figure
from PIL import Image

from widgets.parts.seen import pieces_of, settings_of
from widgets.parts.state import TURN, HasState
from widgets.parts.views import as_note, as_view, check_types, read_state
from workbench.errors import DataError
from workbench.figures.drawing.files import KINDS, encoded
from workbench.figures.still import Piece, still_figure
from workbench.files import user_path, whole_file

PAGE_DPI = 100  #: pixels per inch of a picture on a page; it has more for sharp screens
LONGEST = 600  #: characters of what stands for a picture that is not seen
LONGEST_NAME = 80  #: characters of what is seen in the name of a file
SAVE = "save-view"  #: kind of the message by which a page asks for a file

_CAPTION = "margin:6px 0 0;font:13px/1.4 system-ui,sans-serif;color:#57606a"
_PICTURE = "max-width:100%;height:auto;border:0;border-radius:4px;background:#ffffff"
_HEAD = '<!doctype html>\n<html lang="en">\n<head><meta charset="utf-8"><title>{title}</title></head>'
_BODY = '<body style="margin:16px;background:#ffffff">\n{figure}\n</body>\n</html>\n'

_log = logging.getLogger(__name__)


class Shown(HasState, ipywidgets.Widget):
    """A widget that can be shown without a kernel.

    What a panel consists of is what its picture shows. Others say it by `_pieces` and `_settings`.
    """

    BESIDE: tuple[str, ...] = ()  #: what a view holds beside `STATE`

    def still(self) -> Figure:
        """What it shows now, as a matplotlib figure with a title that says the state.

        Example:
            >>> data = wb.load_data("digit-scenes", split="test", length=20)
            >>> browser = widgets.DatasetBrowser(data, page_size=4)
            >>> browser.still().texts[0].get_text()
            'DatasetBrowser(digit-scenes test, 20 images)'
        """
        return still_figure(*self._described(), self._pieces())

    def to_html(self, path: str | PathLike[str] | None = None) -> str:
        """What it shows now as HTML that needs no other file, no script and no style sheet, as for e-mail.

        Args:
            path: of a file to write as a whole page; None: the piece is only returned.

        Returns:
            The picture with its alternative text and a caption.

        Raises:
            DataError: the file cannot be written.

        Example:
            >>> browser = widgets.DatasetBrowser(wb.load_data("digit-scenes", split="test", length=20), page_size=4)
            >>> browser.to_html("page.html")[:58]
            '<figure style="margin:0"><img src="data:image/png;base64,i'
        """
        title, facts = self._described()
        pieces = self._pieces()
        picture = encoded(still_figure(title, facts, pieces))
        words = [title, facts, *(piece for piece in pieces if isinstance(piece, str))]
        alt = html.escape(". ".join(text.rstrip(".") for text in words if text)[:LONGEST], quote=True)
        width, _ = _size_on_page(picture)
        source = f"data:{KINDS['png']};base64,{base64.b64encode(picture).decode()}"
        image = f'<img src="{source}" alt="{alt}" width="{width}" style="{_PICTURE}">'
        caption = f"<b>{html.escape(title)}</b>" + (f"<br>{html.escape(facts)}" if facts else "")
        figure = f'<figure style="margin:0">{image}<figcaption style="{_CAPTION}">{caption}</figcaption></figure>'
        if path is not None:
            page = f"{_HEAD.format(title=html.escape(title))}\n{_BODY.format(figure=figure)}"
            _write({user_path(path, DataError): page.encode()})
        return figure

    def view_state(self) -> dict[str, Any]:
        """What the user has set, so that it can be written as JSON: the traitlets of `STATE` and their values.

        Example:
            >>> browser = widgets.DatasetBrowser(wb.load_data("digit-scenes", split="test", length=20), page_size=4)
            >>> browser.selected = 3
            >>> browser.view_state()["selected"]
            3
        """
        return json.loads(json.dumps({name: getattr(self, name) for name in self.STATE}, allow_nan=False))

    def save_view(self, path: str | PathLike[str]) -> None:
        """Keep what it shows now as a picture, and beside it the state, as `my.json` for `my.png`.

        Args:
            path: ends in .png, .svg or .pdf; letters of a PDF can be changed by drawing programs.

        Raises:
            DataError: another ending, or a file that cannot be written.

        Example:
            >>> lab = widgets.OcclusionLab("digit-scenes/faster-rcnn", *wb.load_data("digit-scenes", split="test")[7])
            >>> lab.texture = "noise"
            >>> lab.save_view("noise.pdf")  # and noise.json
        """
        file = user_path(path, DataError)
        picture = self._saved(file.suffix.removeprefix(".").lower(), file.name)
        view = json.dumps(as_view(type(self).__name__, self.view_state()), indent=1, allow_nan=False)
        _write({file: picture, file.with_suffix(".json"): f"{view}\n".encode()})

    def load_view(self, path: str | PathLike[str]) -> None:
        """Be set as it was when a view was saved; what fails leaves everything as it was.

        Args:
            path: of a JSON file or a picture that `save_view` or the page has saved.

        Raises:
            DataError: the file holds no view of such a widget, or a state that does not fit what this one shows.

        Example:
            >>> scene = wb.load_data("digit-scenes", split="test")[7]
            >>> lab = widgets.OcclusionLab("digit-scenes/faster-rcnn", *scene, texture="noise")
            >>> lab.save_view("noise.png")
            >>> another = widgets.OcclusionLab("digit-scenes/faster-rcnn", *scene)
            >>> another.load_view("noise.png")
            >>> another.texture
            'noise'
        """
        state = read_state(path, type(self).__name__)
        check_types(self, (*self.STATE, *self.BESIDE), state, path)
        try:
            self._restore(state)
        except Exception as error:
            raise DataError(f"{path}: the state does not fit this {type(self).__name__}: {error}") from error

    # ---- for subclasses --------------------------------------------------------------------------------------

    def _pieces(self) -> list[Piece]:
        """What the picture shows, from top to bottom."""
        return pieces_of(self)

    def _settings(self) -> list[str]:
        """What the widget is set to, in words."""
        return settings_of(self)

    def _restore(self, state: Mapping[str, Any]) -> None:
        """Set what a view holds, and show it."""
        with self._all_or_nothing():
            for name in self.STATE:
                if name in state:
                    setattr(self, name, state[name])

    def _which(self) -> str:
        """Which one of many it shows, as a part of a file's name."""
        return ""

    # ---- pictures --------------------------------------------------------------------------------------------

    def _described(self) -> tuple[str, str]:
        """The title of the picture, and what it is set to."""
        return repr(self), " · ".join(self._settings())

    def _saved(self, kind: str, name: str) -> bytes:
        """The bytes of a picture that holds the view."""
        if kind not in KINDS:
            kinds = ", ".join(f".{one}" for one in KINDS)
            raise DataError(f"{name} ends in {f'.{kind}' if kind else 'no suffix'!r}; a view can be saved as {kinds}")
        return encoded(self.still(), kind, as_note(as_view(type(self).__name__, self.view_state())))

    def _repr_mimebundle_(self, **options: Any) -> Any:
        """The live widget, and a picture of it for where no kernel answers."""
        bundle = super()._repr_mimebundle_(**options)
        data, metadata = bundle if isinstance(bundle, tuple) else (bundle, {})
        try:
            picture = encoded(self.still())
        except Exception as error:  # a widget without a picture is better than none
            _log.warning("%s is shown without a still picture: %s: %s", self, type(error).__name__, error)
            return bundle
        width, height = _size_on_page(picture)
        picture_data = {"image/png": base64.b64encode(picture).decode()}
        return {**data, **picture_data}, {**metadata, "image/png": {"width": width, "height": height}}

    def _handle_custom_msg(self, content: dict[str, Any], buffers: list[Any]) -> None:
        if content.get("kind") == SAVE:
            self.answer_save(content, self.send)
        else:
            with TURN:
                super()._handle_custom_msg(content, buffers)

    def _file_name(self) -> str:
        """What a download is called, without its suffix: letters, digits and what is safe on any system."""
        kind = re.sub(r"(?<=[a-z])(?=[A-Z])|(?<=[A-Z])(?=[A-Z][a-z])", "-", type(self).__name__).lower()
        which = re.sub(r"[^A-Za-z0-9]+", "-", self._which())[:LONGEST_NAME].strip("-")
        return f"{kind}-{which}" if which else kind

    def answer_save(self, content: Mapping[str, Any], send: Callable[..., None]) -> None:
        """Send the file that a page asks for, or what went wrong.

        Args:
            content: `suffix` is the kind of picture, `turn` goes back with the answer.
            send: sends an answer and its buffers to the page.
        """
        answer = {"kind": "saved-view", "turn": content.get("turn")}
        try:
            kind = str(content.get("suffix"))
            with TURN:
                name = self._file_name()
                picture = self._saved(kind, name)
            send({**answer, "name": f"{name}.{kind}", "type": KINDS[kind]}, [picture])
        except Exception as error:  # the page waits for an answer
            send({**answer, "text": f"{type(error).__name__}: {error}"})


def _size_on_page(picture: bytes) -> tuple[int, int]:
    """Width and height of a PNG on a page, in its pixels."""
    with Image.open(io.BytesIO(picture)) as image:
        scale = PAGE_DPI / float(image.info["dpi"][0])
        return round(image.width * scale), round(image.height * scale)


def _write(files: Mapping[Path, bytes]) -> None:
    """Write files, each of which appears whole or not at all."""
    for file, content in files.items():
        try:
            with whole_file(file) as out:
                out.write(content)
        except OSError as error:
            why = error.strerror or error
            raise DataError(f"{file} cannot be written: {why}; give a file in a folder that there is") from error
