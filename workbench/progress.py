"""Bars of progress that leave nothing behind when they are done."""

from __future__ import annotations

from typing import Any

from tqdm.asyncio import tqdm_asyncio
from tqdm.auto import tqdm

IN_NOTEBOOK = not issubclass(tqdm_asyncio, tqdm)  #: whether bars are widgets, as tqdm finds it


class _Bar(tqdm):
    """A bar of tqdm that goes away when it is done, in a terminal or a notebook."""

    def __init__(self, *args: Any, **options: Any):
        super().__init__(*args, **{"leave": False, **options})


class _NotebookBar(_Bar):
    """tqdm closes the widget but leaves its place, in which a page that is loaded anew finds no widget."""

    _place: Any = None  #: where it is shown

    def __init__(self, *args: Any, **options: Any):
        super().__init__(*args, **options, display=False)
        if not self.disable and self.delay <= 0:
            self._show()

    def display(self, *args: Any, check_delay: bool = True, **options: Any) -> None:
        """Draw it anew; with a delay, show it when that is over."""
        super().display(*args, check_delay=False, **options)
        if check_delay and self.delay > 0 and not self.displayed:
            self._show()

    def close(self) -> None:
        """Take it away, unless something went wrong."""
        unfinished = bool(self.total) and self.n < self.total
        super().close()
        if self._place is not None and not self.leave and not unfinished:
            self._place.update({"text/html": ""}, raw=True)
            self._place = None

    def _show(self) -> None:
        from tqdm.notebook import display

        self._place = display(self.container, display_id=True)
        self.displayed = True


Bar = _NotebookBar if IN_NOTEBOOK else _Bar
