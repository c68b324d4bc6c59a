"""Results files of any size become a table: once, by one process, without their boxes in memory."""

import json
import multiprocessing
import os
import pickle
import tracemalloc

import numpy as np
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st

from workbench.data.reading import json_stream
from workbench.errors import DataError
from workbench.proposals.reading import mask_column, results_table
from workbench.proposals.reading.results_table import ResultsTable, table_of
from workbench.rle import encode_masks


def entry(image: int, box, score: float) -> dict:
    return {"image_id": image, "category_id": 1, "bbox": box, "score": score}


def write(path, content):
    path.write_text(content if isinstance(content, str) else json.dumps(content))
    return path


ENTRY = '{"image_id": 1, "bbox": [0, 0, 1, 1]}'
results = st.lists(
    st.builds(
        entry,
        st.sampled_from([3, -7, 2**40, 11]),
        st.lists(st.integers(0, 500) | st.floats(0, 500, width=32), min_size=4, max_size=4),
        st.sampled_from([0.25, 0.5, 1, -3.5]),
    )
)


@given(entries=results)
def test_like_sorting_lists(tmp_path_factory, entries):
    """Images in any order, equal scores, ids of 64 bits: the same as a stable sort of the entries of each image."""
    folder = tmp_path_factory.mktemp("table")
    table = table_of(write(folder / "r.json", entries), folder / "cache")
    for image in (3, -7, 2**40, 11, 12):
        mine = sorted((e for e in entries if e["image_id"] == image), key=lambda e: -e["score"])
        boxes = [[x, y, x + width, y + height] for x, y, width, height in (e["bbox"] for e in mine)]
        expected = np.array(boxes, np.float64).reshape(-1, 4).astype(np.float32)
        assert np.array_equal(table.proposals(image).boxes, expected)
        assert table.proposals(image).boxes.dtype == torch.float32
        assert table.proposals(image).scores.tolist() == [e["score"] for e in mine]


@pytest.mark.parametrize("block", [80, 81, 150, 1000])
def test_blocks_and_chunks_join(tmp_path, monkeypatch, block):
    monkeypatch.setattr(json_stream, "BLOCK", block)
    monkeypatch.setattr(results_table, "CHUNK", 3)
    entries = [entry(number % 2, [number, 0, 5, 5], number) for number in range(10)]
    table = table_of(write(tmp_path / "r.json", entries), tmp_path / "cache")
    assert table.proposals(0).boxes[:, 0].tolist() == [8, 6, 4, 2, 0]
    assert table.proposals(1).boxes[:, 0].tolist() == [9, 7, 5, 3, 1]


@pytest.mark.parametrize("after", ["", "\n", " \n\n", "\n" * 200])
@pytest.mark.parametrize("block", [len(f"[{entry(1, [0, 0, 5, 5], 1)}]"), 81, 1000])
def test_what_follows_the_list_may_be_blank(tmp_path, monkeypatch, block, after):
    monkeypatch.setattr(json_stream, "BLOCK", block)
    path = tmp_path / "r.json"
    path.write_text("\ufeff" + json.dumps([entry(1, [0, 0, 5, 5], 1)]) + after, encoding="utf-8")
    assert len(table_of(path, tmp_path / "cache").proposals(1).boxes) == 1


def test_a_table_that_is_there_needs_no_lock(tmp_path, monkeypatch):
    path = write(tmp_path / "r.json", [entry(1, [0, 0, 5, 5], 1)])
    left = tmp_path / "cache" / f".partial-{table_of(path, tmp_path / 'cache').folder.name}"
    monkeypatch.setattr(results_table, "alone", None)
    assert len(table_of(path, tmp_path / "cache").proposals(1).boxes) == 1
    assert not left.exists()


def test_what_a_killed_process_left_is_removed(tmp_path):
    path = write(tmp_path / "r.json", [entry(1, [0, 0, 5, 5], 1)])
    folder = table_of(path, tmp_path / "cache").folder
    (folder / "boxes.npy").unlink()
    left = folder.with_name(f".partial-{folder.name}")
    left.mkdir()
    (left / "rows").write_bytes(b"x")
    assert len(table_of(path, tmp_path / "cache").proposals(1).boxes) == 1
    assert not left.exists()


def test_an_entry_that_does_not_end_is_not_read_to_the_end_of_the_file(tmp_path, monkeypatch):
    monkeypatch.setattr(json_stream, "BLOCK", 100)
    monkeypatch.setattr(results_table, "LONGEST", 1000)
    path = write(tmp_path / "r.json", '["' + "x" * 100_000)
    read = []
    monkeypatch.setattr(json_stream.JsonStream, "_more", counted(json_stream.JsonStream._more, read))
    with pytest.raises(DataError, match=r"after 0 entries there is .*Unterminated string"):
        table_of(path, tmp_path / "cache")
    assert max(read) < 3000


def counted(more, read):
    """`JsonStream._more`, which also notes in `read` how many characters are in memory."""

    def wrapped(stream):
        found = more(stream)
        read.append(len(stream._text))
        return found

    return wrapped


def test_made_once_until_the_file_changes(tmp_path, monkeypatch):
    path = write(tmp_path / "r.json", [entry(1, [0, 0, 5, 5], 1)])
    made = []
    make = results_table._make
    monkeypatch.setattr(results_table, "_make", lambda *given: (made.append(1), make(*given)))
    for _ in range(2):
        assert table_of(path, tmp_path / "cache").proposals(1).boxes.tolist() == [[0, 0, 5, 5]]
    assert len(made) == 1
    write(path, [entry(1, [7, 0, 5, 5], 1)])
    os.utime(path, ns=(1, 1))
    assert table_of(path, tmp_path / "cache").proposals(1).boxes.tolist() == [[7, 0, 12, 5]]
    assert len(made) == 2


@pytest.mark.parametrize("part", ["images.npy", "starts.npy", "boxes.npy", "scores.npy", "checks.json"])
def test_a_broken_table_is_made_anew(tmp_path, part):
    path = write(tmp_path / "r.json", [entry(1, [0, 0, 5, 5], 1)])
    folder = table_of(path, tmp_path / "cache").folder
    (folder / part).write_bytes(b"x")
    assert len(table_of(path, tmp_path / "cache").proposals(1).boxes) == 1
    whole = (folder / part).read_bytes()
    (folder / part).write_bytes(whole[:-1] + bytes([whole[-1] ^ 1]))
    assert len(table_of(path, tmp_path / "cache").proposals(1).boxes) == 1
    assert (folder / part).read_bytes() == whole
    (folder / part).unlink()
    assert len(table_of(path, tmp_path / "cache").proposals(1).boxes) == 1


@pytest.mark.parametrize(
    ("content", "message"),
    [
        ("", "a JSON list was expected; after 0 entries it ends"),
        ("[", "a JSON list was expected; after 0 entries it ends"),
        (f"[{ENTRY}, {{'image", r"a JSON list was expected; after 1 entries there is .*property name"),
        (f"[{ENTRY}, ", "a JSON list was expected; after 1 entries it ends"),
        (f"[{ENTRY}", "a JSON list was expected; after 1 entries it ends"),
        (f"[{ENTRY} {ENTRY}]", r"a JSON list was expected; after 1 entries there is '\{\"image"),
        ('[{"image_id": 1, "bbox": [0, 0, 1e39, 1]}]', r"entry 0 \(image 1\): bbox is \[0, 0, 1e\+39, 1\]"),
        (f"[{ENTRY}] x", "a JSON list was expected; after 1 entries there is 'x' after the end"),
        (f'[{ENTRY}, {{"image_id": {"9" * 5000}}}]', "a JSON list was expected; after 1 entries there is .*digits"),
        ('{"images": []}', r"a JSON list was expected; after 0 entries there is '\{"),
        ('[{"image_id": 1, "bbox": [0, 0, 1, NaN]}]', r"entry 0 \(image 1\): bbox is \[0, 0, 1, nan\]"),
        ('[{"image_id": true, "bbox": [0, 0, 1, 1]}]', "entry 0 is not a result with a whole number"),
        ('[{"image_id": 9223372036854775808, "bbox": [0, 0, 1, 1]}]', "entry 0 is not a result with a whole number"),
        (f'[{ENTRY}, {{"bbox": {"[" * 100_000}', "a JSON list was expected; after 1 entries maximum recursion"),
        ("[" * 100_000, "a JSON list was expected; after 0 entries maximum recursion"),
        ('[{"image_id": 1, "bbox": [0, 0, 1, 1], "score": {"a": "<b>"}}]', r"entry 0 \(image 1\): score is {'a'"),
    ],
)
def test_wrong_files_leave_nothing_behind(tmp_path, content, message):
    path = write(tmp_path / "r.json", content)
    with pytest.raises(DataError, match=rf"r\.json: {message}"):
        table_of(path, tmp_path / "cache")
    assert [left.suffix for left in (tmp_path / "cache").iterdir()] == [".lock"]


def test_a_folder_is_no_file(tmp_path):
    (tmp_path / "r.json").mkdir()
    with pytest.raises(DataError, match=r"r\.json: this file cannot be read"):
        table_of(tmp_path / "r.json", tmp_path / "cache")


def test_bytes_that_are_no_text_are_refused(tmp_path):
    (tmp_path / "r.json").write_bytes(b'[{"image_id": 1, "file": "\xff\xfe", "bbox": [0, 0, 1, 1]}]')
    with pytest.raises(DataError, match=r"r\.json: a JSON list was expected; after 0 entries .*utf-8"):
        table_of(tmp_path / "r.json", tmp_path / "cache")


def test_a_cache_that_cannot_be_made_is_named(tmp_path):
    path = write(tmp_path / "r.json", [])
    (tmp_path / "file").write_text("")
    with pytest.raises(DataError, match=r"file: the proposals of r\.json cannot be kept here.*option `cache`"):
        table_of(path, tmp_path / "file")


def test_a_copy_for_another_process_maps_the_same_file(tmp_path):
    path = write(tmp_path / "r.json", [entry(1, [0, 0, number, 5], 1) for number in range(5000)])
    table = table_of(path, tmp_path / "cache")
    sent = pickle.dumps(table)
    assert len(sent) < 1000
    assert np.array_equal(pickle.loads(sent).proposals(1).boxes, table.proposals(1).boxes)


def make_and_count(path, cache, queue):
    made = []
    make = results_table._make
    results_table._make = lambda *given: (made.append(1), make(*given))
    queue.put((len(table_of(path, cache).proposals(1).boxes), len(made)))


def test_of_several_processes_one_makes_it(tmp_path):
    path = write(tmp_path / "r.json", [entry(1, [0, 0, 5, 5], 1) for _ in range(20_000)])
    context = multiprocessing.get_context("fork")
    queue = context.Queue()
    processes = [context.Process(target=make_and_count, args=(path, tmp_path / "cache", queue)) for _ in range(3)]
    for process in processes:
        process.start()
    answers = [queue.get(timeout=60) for _ in processes]
    for process in processes:
        process.join()
    assert [boxes for boxes, _ in answers] == [20_000] * 3
    assert sum(made for _, made in answers) == 1


def test_little_memory(tmp_path, monkeypatch):
    """Making a table takes less than the Python objects of its file would: 4 floats alone are 96 bytes."""
    monkeypatch.setattr(results_table, "CHUNK", 1000)
    monkeypatch.setattr(json_stream, "BLOCK", 10_000)
    number = 50_000
    rows = [entry(place // 100, [place / 7, 1.5, 2.5, 3.5], 1 / (place + 1)) for place in range(number)]
    path = write(tmp_path / "r.json", rows)
    del rows
    tracemalloc.start()
    try:
        table = table_of(path, tmp_path / "cache")
        peak = tracemalloc.get_traced_memory()[1]
    finally:
        tracemalloc.stop()
    assert len(table.proposals(499).boxes) == 100
    assert peak < 60 * number


def test_the_table_of_an_empty_list(tmp_path):
    table = table_of(write(tmp_path / "r.json", []), tmp_path / "cache")
    assert table.proposals(1).boxes.shape == (0, 4)
    assert isinstance(table, ResultsTable)


SIZE = (6, 7)


def rle(place: int) -> dict:
    """A mask whose pixels are a number of its own, as text."""
    pixels = (torch.arange(SIZE[0] * SIZE[1]) % (place % 5 + 2) == 0).reshape(1, *SIZE)
    code = encode_masks(pixels)[0]
    return {"size": code["size"], "counts": code["counts"].decode()}


@given(rows=st.lists(st.tuples(st.sampled_from([3, 11]), st.sampled_from([0.25, 0.5, 1]), st.booleans())))
def test_masks_follow_their_boxes(tmp_path_factory, rows):
    """In any order, with and without; an image's come where each of its proposals has one."""
    entries = [entry(image, [place, 0, 1, 1], score) for place, (image, score, _) in enumerate(rows)]
    for place, (_, _, masked) in enumerate(rows):
        if masked:
            entries[place]["segmentation"] = rle(place)
    folder = tmp_path_factory.mktemp("masks")
    table = table_of(write(folder / "r.json", entries), folder / "cache")
    assert (table.folder / "masks.bin").exists() == any(masked for *_, masked in rows)
    for image in (3, 11):
        mine = sorted((e for e in entries if e["image_id"] == image), key=lambda e: -e["score"])
        found = table.proposals(image)
        assert found.boxes[:, 0].tolist() == [e["bbox"][0] for e in mine]
        if mine and all("segmentation" in e for e in mine):
            assert [code["counts"].decode() for code in found.masks] == [e["segmentation"]["counts"] for e in mine]
        elif mine:
            assert found.masks is None


@pytest.mark.parametrize("chunk", [1, 2, 3, 100])
def test_masks_are_written_in_chunks(tmp_path, monkeypatch, chunk):
    monkeypatch.setattr(mask_column, "CHUNK", chunk)
    entries = [entry(place % 2, [place, 0, 1, 1], place) | {"segmentation": rle(place)} for place in range(7)]
    table = table_of(write(tmp_path / "r.json", entries), tmp_path / "cache")
    again = pickle.loads(pickle.dumps(table))
    assert [code["counts"].decode() for code in again.proposals(0).masks] == [rle(p)["counts"] for p in (6, 4, 2, 0)]
    assert table.proposals(1).masks[0]["size"] == list(SIZE)
    assert {path.name for path in table.folder.iterdir()} == {
        "boxes.npy", "checks.json", "images.npy", "masks.bin", "masks.npy", "scores.npy", "source.json",
        "starts.npy",
    }  # fmt: skip


def test_a_box_that_is_missing_is_that_of_the_mask(tmp_path):
    pixels = torch.zeros(1, *SIZE)
    pixels[0, 1:3, 2:6] = 1
    code = encode_masks(pixels)[0]
    given = {"image_id": 1, "score": 0.5, "segmentation": code | {"counts": code["counts"].decode()}}
    found = table_of(write(tmp_path / "r.json", [given]), tmp_path / "cache").proposals(1)
    assert found.boxes.tolist() == [[2, 1, 6, 3]]
    assert torch.equal(found.decode_masks()[0], pixels[0] > 0)


def test_lists_of_lengths_are_masks_and_polygons_are_none(tmp_path):
    lengths = {"size": list(SIZE), "counts": [10, 5, 27]}
    entries = [entry(1, [0, 0, 1, 1], 1) | {"segmentation": lengths}]
    entries += [entry(2, [0, 0, 1, 1], 1) | {"segmentation": other} for other in ([[0, 0, 5, 0, 5, 5]], None, [])]
    table = table_of(write(tmp_path / "r.json", entries), tmp_path / "cache")
    assert int(table.proposals(1).decode_masks().sum()) == 5
    assert table.proposals(2).masks is None


@pytest.mark.parametrize("part", ["masks.npy", "masks.bin"])
def test_broken_masks_are_made_anew(tmp_path, part):
    path = write(tmp_path / "r.json", [entry(1, [0, 0, 5, 5], 1) | {"segmentation": rle(0)}])
    folder = table_of(path, tmp_path / "cache").folder
    (folder / part).write_bytes(b"")
    assert table_of(path, tmp_path / "cache").proposals(1).masks[0]["counts"].decode() == rle(0)["counts"]


@pytest.mark.parametrize(
    ("segmentation", "message"),
    [
        ({"size": [6, 7], "counts": "Y"}, "compressed RLE ends within a number"),
        ({"size": [6, 7], "counts": [3, 4]}, "RLE counts add up to 7 instead of 6 × 7"),
        ({"counts": "9"}, "RLE has size None"),
    ],
)
def test_wrong_masks_are_named(tmp_path, segmentation, message):
    entries = [entry(4, [0, 0, 1, 1], 1), entry(8, [0, 0, 1, 1], 1) | {"segmentation": segmentation}]
    with pytest.raises(DataError, match=rf"r\.json: entry 1 \(image 8\): segmentation: {message}"):
        table_of(write(tmp_path / "r.json", entries), tmp_path / "cache")
    assert [left.suffix for left in (tmp_path / "cache").iterdir()] == [".lock"]


def test_scores_beyond_float32_stay_finite(tmp_path):
    path = write(tmp_path / "r.json", [entry(1, [0, 0, 1, 1], 1e300), entry(1, [2, 0, 1, 1], 0.5)])
    assert table_of(path, tmp_path / "cache").proposals(1).scores.isfinite().all()
