"""How results, runs, recipes and data show themselves in a notebook: text and tables as HTML, without colours.

JupyterLab's own style of tables is kept, so that they are legible in light and dark. Names come from files that
others made: all text is escaped, and cut where it is very long.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping, Sequence
from functools import wraps
from html import escape
from itertools import zip_longest
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    import pandas as pd

LONGEST = 200  #: characters of a text in a cell of a table
LONGEST_FACT = 400  #: likewise, where it has a row for itself
LONGEST_WORD = 24  #: characters that fit into a narrow cell; longer texts are broken anywhere


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
        f'<tr><th scope="row" style="text-align:left">{escape(clip(name))}</th>{_text(value, LONGEST_FACT)}</tr>'
        for name, value in facts.items()
    )
    return f"<table>{_caption(title)}{rows}</table>"


def table(title: str, columns: Sequence[str], rows: Iterable[Sequence[object]]) -> str:
    """A table of texts, which stand left, and numbers, which stand right."""
    rows = list(rows)
    left = [' style="text-align:left"' if isinstance(value, str) else "" for value in rows[0]] if rows else []
    head = "".join(
        f'<th scope="col"{align}>{escape(name)}</th>' for name, align in zip_longest(columns, left, fillvalue="")
    )
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
    return f'<caption style="text-align:left">{escape(clip(title))}</caption>' if title else ""


def _text(value: object, longest: int) -> str:
    """A cell with a text, or with a list of them as lines."""
    lines = [clip(line, longest) for line in (value if isinstance(value, list) else [value])]
    broken = ";overflow-wrap:anywhere" if max(map(len, lines), default=0) > LONGEST_WORD else ""
    return f'<td style="text-align:left{broken}">{"<br>".join(map(escape, lines))}</td>'


def _cell(value: object) -> str:
    if isinstance(value, str):
        return _text(value, LONGEST)
    return f"<td>{f'{value:,}' if isinstance(value, int) else f'{value:.3f}'}</td>"
