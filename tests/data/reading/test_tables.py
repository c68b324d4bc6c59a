"""Tables in the cache: found again by content, made anew where anything is in doubt, shared between processes."""

import json
import multiprocessing
import os
import pickle
import shutil
from pathlib import Path

import numpy as np
import pytest

from workbench.data.reading import tables
from workbench.data.reading.tables import Table, cache_base, file_source, kept_table
from workbench.errors import DataError


@pytest.fixture
def source(tmp_path: Path, monkeypatch) -> Path:
    """A file that changed long ago, and a cache of the test's own."""
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "cache"))
    return written(tmp_path / "file", "one")


def written(path: Path, text: str, time: float = 1e9) -> Path:
    path.write_text(text)
    os.utime(path, (time, time))
    return path


def numbers(path: Path) -> Table:
    return Table({"codes": np.frombuffer(path.read_bytes(), np.uint8), "none": np.zeros((0, 4))}, {"name": "n"})


def load(path: Path, *, make=numbers, revision: int = 1) -> Table:
    about, state = file_source(path, revision=revision, options={})
    return kept_table("test", about, lambda: make(path), changed_ns=state.st_mtime_ns)


def never(path: Path) -> Table:
    raise AssertionError("the table is made, but it should be found")


def folder() -> Path:
    return next(path for path in (cache_base() / "tables").iterdir() if path.is_dir())


def test_it_is_found_again_as_a_map(source: Path) -> None:
    first, again = load(source), load(source, make=never)
    for table in (first, again):
        assert table["codes"].tobytes() == b"one"
        assert table["none"].shape == (0, 4)
        assert table.about["name"] == "n"
        assert not table["codes"].flags.writeable
    assert [path.suffix for path in folder().parent.iterdir() if path.is_file()] == [".lock"]


def test_a_changed_file_gives_a_new_table_in_the_old_ones_place(source: Path) -> None:
    old = load(source)
    written(source, "two")  # of the same size and time: the time of the change itself cannot be set back
    new = load(source)
    assert (old["codes"].tobytes(), new["codes"].tobytes()) == (b"one", b"two")
    assert len([path for path in folder().parent.iterdir() if path.is_dir()]) == 1


def test_another_revision_is_made_anew(source: Path) -> None:
    load(source)
    made = []
    load(source, revision=2, make=lambda path: made.append(path) or numbers(path))
    assert made == [source]


def spoil_byte(folder: Path) -> None:
    content = bytearray((folder / "codes.npy").read_bytes())
    content[-1] ^= 1
    (folder / "codes.npy").write_bytes(content)


def spoil_about(folder: Path) -> None:
    saved = json.loads((folder / "about.json").read_text())
    saved["about"]["name"] = "m"
    (folder / "about.json").write_text(json.dumps(saved))


def use_pickle(folder: Path) -> None:
    np.save(folder / "codes.npy", np.array([{}], object), allow_pickle=True)


@pytest.mark.parametrize(
    "spoil",
    [
        spoil_byte,
        spoil_about,
        use_pickle,
        lambda folder: (folder / "codes.npy").unlink(),
        lambda folder: (folder / "codes.npy").write_bytes(b""),
        lambda folder: (folder / "about.json").write_text("[" * 100_000),
        lambda folder: (folder / "about.json").write_text("[1]"),
        lambda folder: (shutil.rmtree(folder), folder.write_text("a file")),
    ],
)
def test_a_damaged_table_is_made_anew(source: Path, spoil) -> None:
    load(source)
    spoil(folder())
    assert load(source)["codes"].tobytes() == b"one"


def test_a_file_that_changed_a_moment_ago_is_read_each_time(source: Path) -> None:
    source.write_text("now")
    load(source)
    assert not (cache_base() / "tables").exists()


def test_what_must_not_be_kept_is_not(source: Path) -> None:
    load(source, make=lambda path: Table({}, {}, keep=False))
    assert load(source)["codes"].tobytes() == b"one"


def test_without_a_cache_it_is_made_all_the_same(source: Path, tmp_path: Path, monkeypatch) -> None:
    (tmp_path / "taken").write_text("")
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "taken"))
    assert load(source)["codes"].tobytes() == b"one"


def test_errors_of_the_source_pass(source: Path, tmp_path: Path) -> None:
    def fail(path: Path) -> Table:
        raise DataError("bad")

    with pytest.raises(DataError, match="bad"):
        load(source, make=fail)
    with pytest.raises(DataError, match="missing: this file cannot be read"):
        load(tmp_path / "missing")


def test_a_copy_for_another_process_maps_the_same_files(source: Path) -> None:
    table = load(source)
    data = pickle.dumps(table)
    assert pickle.loads(data)["codes"].tobytes() == b"one"
    assert pickle.loads(pickle.dumps(numbers(source)))["codes"].tobytes() == b"one"  # one in memory takes all along
    written(source, "other")
    load(source)
    with pytest.raises(DataError, match="load the data again"):
        pickle.loads(data)


def slowly(path: Path) -> Table:
    with (path.parent / "made").open("a") as log:
        log.write("x")
    tables.time.sleep(0.3)
    return numbers(path)


def task(path: Path, answers) -> None:
    answers.put(load(path, make=slowly)["codes"].tobytes())


def test_of_several_processes_one_makes_it(source: Path) -> None:
    context = multiprocessing.get_context("fork")
    answers = context.Queue()
    processes = [context.Process(target=task, args=(source, answers)) for _ in range(4)]
    for process in processes:
        process.start()
    assert [answers.get(timeout=60) for _ in processes] == [b"one"] * 4
    for process in processes:
        process.join()
    assert (source.parent / "made").read_text() == "x"
