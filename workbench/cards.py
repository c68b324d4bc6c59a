"""How results, runs, recipes and data show themselves in a notebook: text and tables as HTML, without colours.

JupyterLab's own style of tables is kept, so that they are legible in light and dark. Names come from files that
others made: all text is escaped, and cut where it is very long.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping, Sequence
from functools import wraps
from html import escape
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    import pandas as pd

LONGEST = 200  #: characters of a text in a cell of a table
LONGEST_FACT = 400  #: likewise, where it has a row for itself
_LEFT = "text-align:left;overflow-wrap:anywhere"


def clip(text: object, longest: int = LONGEST) -> str:
    """A text on one line, cut after `longest` characters; what no page can hold is replaced.

    Example:
        >>> clip("a name\\nof many words", 12)
        'a name of m…'
    """
    line = " ".join(str(text)[: 4 * longest].split()).encode("utf-8", "replace").decode()
    return line if len(line) <= longest else f"{line[: longest - 1]}…"


def notes_and_tables(notes: Iterable[str], *tables: pd.DataFrame, **options: Any) -> str:
    """Paragraphs of text, and tables with three decimals; `options` are those of pandas' `to_html`."""
    options = {"float_format": "{:.3f}".format, "na_rep": "–"} | options
    return "".join([*(f"<p>{escape(text)}</p>" for text in notes), *(table.to_html(**options) for table in tables)])


def card(title: str, facts: Mapping[str, object]) -> str:
    """A table of facts, a row for each: its name and what it is. A list gives lines."""
    rows = "".join(
        f'<tr><th scope="row" style="text-align:left">{escape(clip(name))}</th>'
        f'<td style="{_LEFT}">{_lines(value)}</td></tr>'
        for name, value in facts.items()
    )
    return f"<table>{_caption(title)}{rows}</table>"


def table(title: str, columns: Sequence[str], rows: Iterable[Sequence[object]]) -> str:
    """A table of texts, which stand left, and numbers, which stand right."""
    head = "".join(f'<th scope="col">{escape(name)}</th>' for name in columns)
    body = "".join(f"<tr>{''.join(map(_cell, row))}</tr>" for row in rows)
    return f"<table>{_caption(title)}<thead><tr>{head}</tr></thead><tbody>{body}</tbody></table>"


def never_raises(show: Callable[[Any], str]) -> Callable[[Any], str]:
    """For `__repr__` and `_repr_html_`: what cannot be shown says why, as a notebook must go on."""

    @wraps(show)
    def shown(self: Any) -> str:
        try:
            return show(self)
        except Exception as error:
            text = f"<{type(self).__name__}, which cannot be shown: {type(error).__name__}: {clip(error)}>"
            return f"<p>{escape(text)}</p>" if show.__name__ == "_repr_html_" else text

    return shown


def _caption(title: str) -> str:
    return f"<caption>{escape(clip(title))}</caption>" if title else ""


def _lines(value: object) -> str:
    lines = value if isinstance(value, list) else [value]
    return "<br>".join(escape(clip(line, LONGEST_FACT)) for line in lines)


def _cell(value: object) -> str:
    if isinstance(value, str):
        return f'<td style="{_LEFT}">{escape(clip(value))}</td>'
    return f"<td>{f'{value:,}' if isinstance(value, int) else f'{value:.3f}'}</td>"
