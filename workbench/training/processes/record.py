"""Which process trains a run, and how it was started: `proc.json` in the run folder.

A run folder may come from somebody else. So a record is sealed with a key of the user who wrote it, which is kept in
the user's configuration folder: only what carries one's own seal is followed without a question (see `starting.py`).
"""

from __future__ import annotations

import hashlib
import hmac
import json
import os
import secrets
import stat
import warnings
from contextlib import suppress
from dataclasses import asdict, dataclass, field, replace
from pathlib import Path
from typing import Annotated, Any

from pydantic import Field, TypeAdapter, ValidationError

from workbench.files import settings_folder
from workbench.training.recording.disk import read_bytes, write_record

RECORD = "proc.json"
LATER = ("place", "job")  #: fields that older records lack: the seal does not cover them where they are empty
Seconds = Annotated[float, Field(ge=0, allow_inf_nan=False)]  #: since 1970


@dataclass(frozen=True)
class Record:
    """What is remembered of a started process."""

    folder: str
    pid: Annotated[int, Field(ge=0, lt=2**31)]
    create_time: Seconds  #: as the system gives it
    cmd: list[str]  #: empty for a process that also does something else, such as a notebook's
    started: Seconds
    token: str  #: in the environment of all processes of the run; empty where it was not started by `launch`
    cwd: str
    threads: Annotated[int, Field(ge=1, le=2**16)]  #: of each process
    environment: dict[str, str] = field(default_factory=dict)  #: what was set beside the inherited
    plug_ins: dict[str, dict[str, str]] = field(default_factory=dict)  #: name → its "file" and that one's "sha256"
    fingerprints: dict[str, str] = field(default_factory=dict)  #: of what ran, see `starting.fingerprints`
    place: dict[str, Any] = field(default_factory=dict)  #: where it was sent to, see `places.py`; empty: nowhere
    job: str = ""  #: its number in the queue there
    seal: str = ""
    own: bool = False  #: whether the seal is the present user's; known by `read`

    @classmethod
    def read(cls, folder: Path) -> Record | None:
        """The record in `folder`; None where nothing was ever started, or the file is damaged.

        In a copied or moved folder it names no process: the original's is none of the copy's business.
        """
        try:
            record = _SCHEMA.validate_json(read_bytes(folder / RECORD), strict=True)
        except (OSError, ValidationError):
            return None
        key = _key(make=False)
        own = key is not None and hmac.compare_digest(_seal(record, key), record.seal.encode())
        record = replace(record, own=own)
        copied = record.folder != os.path.realpath(folder)
        return replace(record, pid=0, token="", place={}, job="") if copied else record

    def write(self, folder: Path) -> None:
        """Seal it and write it into `folder`.

        Raises:
            DiskError: the disk refuses.
        """
        key = _key(make=True)
        write_record(folder / RECORD, _plain(self) | {"seal": "" if key is None else _seal(self, key).decode()})


_SCHEMA = TypeAdapter(Record)


def _plain(record: Record) -> dict[str, Any]:
    plain = {name: value for name, value in asdict(record).items() if name not in ("seal", "own")}
    return {name: value for name, value in plain.items() if value or name not in LATER}


def _seal(record: Record, key: bytes) -> bytes:
    """Only who has the key can make it: hex digits."""
    content = json.dumps(_plain(record), sort_keys=True).encode()
    return hmac.new(key, content, hashlib.sha256).hexdigest().encode()


def _key(*, make: bool) -> bytes | None:
    """The user's key; None where there is none, or with a warning where it is damaged or not the user's alone."""
    with suppress(OSError, RuntimeError):  # RuntimeError: there is no home
        path = settings_folder() / "key"
        if make and not path.exists():
            _make_key(path)
        with open(path, "rb") as file:
            state, key = os.fstat(file.fileno()), file.read()
        private = state.st_uid == os.getuid() and not stat.S_IMODE(state.st_mode) & 0o077
        if private and len(key) == hashlib.sha256().digest_size:
            return key
        why = "is damaged" if private else "can be read or written by others"
        warnings.warn(  # Python shows it once
            f"{path} {why}: runs do not count as your own, and those with plug-ins ask for trust=True. "
            "Delete this file; the next new run makes another",
            stacklevel=1,
        )
    return None


def _make_key(path: Path) -> None:
    """A new key appears whole, and of several that are made at once one stays."""
    path.parent.mkdir(parents=True, exist_ok=True)
    draft = path.with_name(f".key-{secrets.token_hex(8)}")
    try:
        with os.fdopen(os.open(draft, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600), "wb") as file:
            file.write(secrets.token_bytes(hashlib.sha256().digest_size))
        with suppress(FileExistsError):
            os.link(draft, path)
    finally:
        draft.unlink(missing_ok=True)
