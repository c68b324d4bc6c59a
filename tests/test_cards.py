"""Cards and tables of notebooks: text is escaped and cut, and what cannot be shown does not raise."""

from __future__ import annotations

import json

import pandas as pd

from workbench.cards import LONGEST, LONGEST_FACT, card, clip, never_raises, notes_and_tables, table

HOSTILE = "<script>alert('x')</script>\n\"& more"


def test_texts_are_on_one_line_and_not_too_long():
    assert clip("a\n\tb   c") == "a b c"
    assert clip("x" * 300) == "x" * (LONGEST - 1) + "…"
    assert len(clip("long " * 10**6)) <= LONGEST
    assert json.dumps(clip("\ud800 half"), ensure_ascii=False).encode() == b'"? half"'


def test_text_is_escaped_everywhere():
    shown = [
        card(HOSTILE, {HOSTILE: HOSTILE, "b": [HOSTILE]}),
        table(HOSTILE, (HOSTILE,), [(HOSTILE,)]),
        notes_and_tables([HOSTILE], pd.DataFrame({HOSTILE: [HOSTILE]}, index=[HOSTILE])),
    ]
    for page in shown:
        assert "<script" not in page
        assert page.count("&lt;script&gt;") >= 3


def test_lists_are_lines_and_numbers_are_written_out():
    assert "one<br>two &amp; three" in card("", {"stages": ["one", "two & three"]})
    page = table("", ("n", "score"), [(1234567, 0.12345), ("all", "")])
    assert "<td>1,234,567</td><td>0.123</td>" in page
    assert "<caption" not in page
    assert '<th scope="col">n</th><th scope="col">score</th>' in page
    assert '<th scope="col" style="text-align:left">n</th>' in table("", ("n",), [("all",)])
    assert "anywhere" in card("", {"a": "x" * 30})  # a name without a space must not be wider than a page
    assert "anywhere" not in card("", {"a": "short.key"})
    assert table("", ("n",), []).endswith("<tbody></tbody></table>")
    assert "x" * (LONGEST_FACT - 1) + "…" in card("", {"a": "x" * 999})


def test_tables_have_three_decimals_and_say_what_is_not_there():
    page = notes_and_tables(["a note"], pd.DataFrame({"AP": [0.12345, float("nan")]}))
    assert page.startswith("<p>a note</p><table")
    assert "0.123<" in page
    assert "–" in page


def test_what_cannot_be_shown_says_why():
    class Broken:
        @never_raises
        def __repr__(self):
            raise ValueError("no <b>\nsuch")

        @never_raises
        def _repr_html_(self):
            return self.missing

    assert repr(Broken()) == "<Broken, which cannot be shown: ValueError: no <b> such>"
    assert Broken()._repr_html_().startswith("<p>&lt;Broken, which cannot be shown: AttributeError:")
