"""JSON read value by value gives what the json module gives, wherever the blocks end."""

import io
import json

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from workbench.data.reading import json_stream
from workbench.data.reading.json_stream import JsonStream, NotJson

SIZES = [1, 7, 64, json_stream.BLOCK]
leaves = st.none() | st.booleans() | st.integers() | st.floats(allow_nan=False) | st.text('ab}{],["\\ é', max_size=8)
values = st.recursive(leaves, lambda inner: st.lists(inner) | st.dictionaries(st.text("k}, {", max_size=4), inner))


@pytest.fixture(params=SIZES)
def block(request, monkeypatch) -> int:
    monkeypatch.setattr(json_stream, "BLOCK", request.param)
    return request.param


def read(text: str) -> dict:
    """An object of lists and other values, by both ways to take them."""
    stream, content = JsonStream(io.StringIO(text)), {}
    for key in stream.members():
        content[key] = list(stream.entries()) if stream.peek() == "[" else stream.value()
    stream.end()
    return content


@settings(max_examples=250)
@given(
    size=st.sampled_from(SIZES),
    indent=st.sampled_from([None, 1]),
    content=st.dictionaries(st.text('k"}', max_size=3), st.lists(values, max_size=6) | leaves, max_size=4),
)
def test_like_the_json_module(size: int, indent: int | None, content: dict) -> None:
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(json_stream, "BLOCK", size)
        assert read(json.dumps(content, indent=indent)) == content


def test_entries_as_they_are_written(block: int) -> None:
    written = ['{"a": 1.50}', '{ "b":"é", "b" : 2}', "[1,\n 2]", "7", '"}, {"']
    stream = JsonStream(io.StringIO(f"[{' ,  '.join(written)}]"))
    assert list(stream.entries_as_written()) == [(json.loads(text), text) for text in written]
    stream.end()
    assert list(JsonStream(io.StringIO("[ ]")).entries_as_written()) == []


def test_many_entries_are_parsed_at_once_and_one_by_one_where_that_fails(block: int) -> None:
    entries = [{"id": n, "text": "}, {" * (n % 3), "parts": [{"a": n}, {"b": [n]}]} for n in range(200)]
    assert read(json.dumps({"a": entries, "b": 3, "c": entries})) == {"a": entries, "b": 3, "c": entries}


UNUSUAL = ['"\\ud800"', '"\\ud83d\\ude00"', "[" * 250 + "]" * 250, "NaN", "-Infinity", "-0", "1E400", "9" * 400]


@pytest.mark.parametrize("value", UNUSUAL)
def test_unusual_values_mean_what_they_mean_to_python(block: int, value: str) -> None:
    text = f'{{"a": [{{"b": 1.5}}, {{"b": {value}}}, {{"b": {value}, "c": 2}}]}}'
    assert repr(read(text)) == repr(json.loads(text))


@pytest.mark.parametrize("value", ["-NaN", "01", "1.", "+1", ".5", "'x'", "[1,]", "9" * 5000, '"\t"', '"\\x"'])
def test_no_other_values_are_taken(block: int, value: str) -> None:
    with pytest.raises(NotJson):
        read(f'{{"a": [{{"b": 1}}, {{"b": {value}}}, {{"b": 1}}]}}')


@pytest.mark.parametrize(
    ("text", "words"),
    [
        ("", "it ends"),
        ("[]", "there is '\\["),
        ('{"a": [1, 2', "it ends"),
        ('{"a": [1 2]}', "there is '2"),
        ('{"a": [{"b": 1}, {"b": }]}', "Expecting value"),
        ('{"a": 1, }', "in place of a key"),
        ('{"a": tru', "Expecting value"),
        ('{"a": 1} x', "after the end"),
    ],
)
def test_broken_texts(block: int, text: str, words: str) -> None:
    with pytest.raises(NotJson, match=words):
        read(text)


def test_values_longer_than_allowed() -> None:
    text = json.dumps({"a": "x" * 3_000_000})
    assert read(text)["a"] == "x" * 3_000_000
    stream = JsonStream(io.StringIO(text[:-3]), longest=1000)
    keys = stream.members()
    assert next(keys) == "a"
    with pytest.raises(NotJson, match="Unterminated string"):
        stream.value()
