"""What a power loss may leave of a store.

One writer runs to its end under strace, which writes down every call that changes a file. From that record any moment
can be looked at again: what was synced by then is on the disk, of what was not any subset of its 512-byte sectors may
be, and of names made, renamed and removed since the directory was synced any first part. Each image drawn is opened as
the next start would.

The record is of the SQLite library the scheduler uses; another library's file layer (apsw brings SQLite 3.54) would
prove something about that one.

`lie` is the chance that a sync did nothing. A store cannot know; but its witness (`store.acknowledged`) knows when
commits are gone, if it survived itself.
"""

from __future__ import annotations

import random
import shutil
import sqlite3
import tempfile
from contextlib import closing
from pathlib import Path

import msgspec

from tests.storefaults.kill import MEMORY, Story, recovery
from tests.storefaults.script import is_intact, state_of
from tests.storefaults.tracing import FOLLOWED, Call, calls, run_under
from xip_core.errors import StoreError
from xip_scheduler.store.acknowledged import FILE_NAME, read_acknowledged
from xip_scheduler.store.sqlite import SqliteStore
from xip_scheduler.store.verify import verify_store

SECTOR_BYTES = 512
KEPT_SHARES = (0.0, 0.1, 0.5, 0.9, 1.0)
"""Of the sectors not synced; one is drawn for each image."""

SILENT_SHARE_MAX = 0.01
"""Of the images of a disk that lies: states that never were, and that nobody finds. Seen: 1 of about 1,500."""


class File(msgspec.Struct):
    """
    Attributes:
        content: what is on the disk; pending: (offset, data) written since, or (length, None) cut to.
    """

    content: bytes = b""
    pending: list[tuple[int, bytes | None]] = []

    def sync(self) -> None:
        content = bytearray(self.content)
        for offset, data in self.pending:
            _apply(content, offset, data)
        self.content, self.pending = bytes(content), []

    def torn(self, chance: random.Random, share: float) -> bytes:
        """The content with about *share* of the sectors written since the last sync."""
        content = bytearray(self.content)
        for offset, data in self.pending:
            if data is None:
                if chance.random() < share:
                    _apply(content, offset, None)
                continue
            begin = 0
            while begin < len(data):
                end = min(len(data), begin + SECTOR_BYTES - (offset + begin) % SECTOR_BYTES)
                if chance.random() < share:
                    _apply(content, offset + begin, data[begin:end])
                begin = end
        return bytes(content)


def _apply(content: bytearray, offset: int, data: bytes | None) -> None:
    if data is None:
        del content[offset:]
        content.extend(bytes(offset - len(content)))
    else:
        content.extend(bytes(max(0, offset - len(content))))
        content[offset : offset + len(data)] = data


class Disk:
    """The files below one directory, as the calls of a writer change them."""

    def __init__(self, directory: Path, template: Path) -> None:
        self._root = f"{directory}/"
        self._opened: dict[int, str] = {}
        self._position: dict[int, int] = {}
        self.names = {
            str(path.relative_to(template)): File(path.read_bytes()) for path in template.rglob("*") if path.is_file()
        }
        self.synced_names = dict(self.names)
        self.pending_names: dict[str, list[tuple[str, File | None]]] = {}
        self.acknowledged = -1

    def follow(self, call: Call, is_lie: bool) -> None:
        if call.result < 0:
            return
        match call.name:
            case "openat":
                self._open(call)
            case "write" | "pwrite64":
                self._write(call)
            case "ftruncate":
                descriptor, length = (int(part) for part in call.arguments.split(", "))
                if descriptor in self._opened:
                    self.names[self._opened[descriptor]].pending.append((length, None))
            case "fsync" | "fdatasync":
                name = self._opened.get(int(call.arguments))
                if name is not None and not is_lie:
                    self._sync(name)
            case "rename":
                before, after = (self._name(_text(part)) for part in call.arguments.split(", "))
                if before in self.names:
                    self._set(after, self.names[before])
                    self._set(before, None)
            case "unlink":
                if (name := self._name(_text(call.arguments))) in self.names:
                    self._set(name, None)
            case "close":
                self._opened.pop(int(call.arguments), None)

    def _name(self, path: str) -> str:
        """Relative to the directory, which is "." itself; "" for what is elsewhere."""
        if path == self._root[:-1]:
            return "."
        return path.removeprefix(self._root) if path.startswith(self._root) else ""

    def _open(self, call: Call) -> None:
        _, path, flags, *_ = call.arguments.split(", ")
        name = self._name(_text(path))
        if not name:
            return
        if "O_CREAT" in flags and name not in self.names:
            self._set(name, File())
        if "O_TRUNC" in flags:
            self.names[name].pending.append((0, None))
        self._opened[call.result] = name
        self._position[call.result] = 0

    def _write(self, call: Call) -> None:
        descriptor, data, _, *offset = call.arguments.split(", ")
        content = _bytes(data)[: call.result]
        if descriptor == "1":
            said = content.decode().strip()
            self.acknowledged = 0 if said == "open" else int(said)
        elif int(descriptor) in self._opened:
            begin = int(offset[0]) if offset else self._position[int(descriptor)]
            self._position[int(descriptor)] = begin + len(content)
            self.names[self._opened[int(descriptor)]].pending.append((begin, content))

    def _set(self, name: str, file: File | None) -> None:
        if file is None:
            del self.names[name]
        else:
            self.names[name] = file
        self.pending_names.setdefault(str(Path(name).parent), []).append((name, file))

    def _sync(self, name: str) -> None:
        if name in self.names:
            self.names[name].sync()
        for entry, file in self.pending_names.pop(name, []):
            _enter(self.synced_names, entry, file)

    def image(self, directory: Path, chance: random.Random) -> None:
        """One of the disks that a power loss now may leave."""
        share = chance.choice(KEPT_SHARES)
        directory.mkdir()
        names = dict(self.synced_names)
        for changes in self.pending_names.values():
            for name, file in changes[: chance.randint(0, len(changes))]:
                _enter(names, name, file)
        for name, file in names.items():
            target = directory / name
            target.parent.mkdir(parents=True, exist_ok=True)
            target.write_bytes(file.torn(chance, share))


def _enter(names: dict[str, File], name: str, file: File | None) -> None:
    if file is None:
        names.pop(name, None)
    else:
        names[name] = file


def _bytes(quoted: str) -> bytes:
    return bytes.fromhex(quoted.strip('"').replace("\\x", ""))


def _text(quoted: str) -> str:
    return _bytes(quoted).decode()


class Recorded(msgspec.Struct):
    """A writer's calls from its begin to its end."""

    story: Story
    directory: Path
    calls: list[Call]


def record(story: Story) -> Recorded:
    with tempfile.TemporaryDirectory(dir=MEMORY) as name:
        directory = Path(name) / "data"
        log = Path(name) / "log"
        writer = story.writer(directory)
        code = run_under(writer, f"trace={','.join(FOLLOWED)}", log=log, data=True)
        assert code == 0, writer.said
        recorded = Recorded(story, directory, list(calls(log)))
        disk = Disk(directory, story.template)
        for call in recorded.calls:
            disk.follow(call, is_lie=False)
        for path in directory.rglob("*"):  # the model and the file system must agree before anything is drawn from it
            if path.is_file():
                file = disk.names[str(path.relative_to(directory))]
                file.sync()
                assert file.content == path.read_bytes(), path
    return recorded


class Figures(msgspec.Struct):
    """
    Attributes:
        refused: starts that said no.
        mixed: images with pages of several commits, which start; found by `store verify` or a block's reader.
        silent: the same, found by nobody. No store can promise that there is none where a disk lies.
        lost: images in which acknowledged commits are gone and the start did not say so.
    """

    images: int = 0
    refused: int = 0
    mixed: int = 0
    silent: int = 0
    lost: int = 0
    complaints: list[str] = []


def losses(recorded: Recorded, count: int, seed: int, lie: float = 0.0) -> Figures:
    """*count* power losses at random moments of a record."""
    chance = random.Random(seed)
    moments = sorted(chance.randrange(1, len(recorded.calls) + 1) for _ in range(count))
    disk = Disk(recorded.directory, recorded.story.template)
    figures = Figures()
    followed = 0
    for moment in moments:
        for call in recorded.calls[followed:moment]:
            disk.follow(call, is_lie=lie > 0.0 and chance.random() < lie)
        followed = max(followed, moment)
        with tempfile.TemporaryDirectory(dir=MEMORY) as name:
            directory = Path(name) / "data"
            disk.image(directory, chance)
            figures.images += 1
            where = f"{recorded.story.name}, power lost after call {moment} of seed {seed}"
            if lie:
                _look_at_lie(directory, recorded.story, disk.acknowledged, figures, where)
            else:
                figures.complaints += [
                    f"{where}: {complaint}" for complaint in recovery(directory, recorded.story, disk.acknowledged)
                ]
    if figures.silent > 1 + SILENT_SHARE_MAX * figures.images:
        figures.complaints.append(f"{recorded.story.name}: {figures.silent} of {figures.images} lies found by nobody")
    return figures


def _look_at_lie(directory: Path, story: Story, acknowledged: int, figures: Figures, where: str) -> None:
    """Either refused or possible; lost without a word only where the witness was lost too."""
    witness = read_acknowledged(directory) if (directory / FILE_NAME).exists() else 0
    count = max(acknowledged - story.first, 0)
    untouched = directory.with_name(directory.name + "-untouched")
    shutil.copytree(directory, untouched)
    try:
        with closing(SqliteStore(directory)) as store:
            found = state_of(store)
            serial = store._commit_serial
    except (StoreError, sqlite3.Error):  # at the start, or when a page is read
        figures.refused += 1
        return
    if found in story.expected[count : count + 2]:
        return
    figures.lost += 1
    if found not in story.expected:
        blocks = [*found.outputs.values(), *(row[2] for rows in found.details.values() for row in rows)]
        is_found = not (verify_store(untouched).is_sound and all(map(is_intact, blocks)))
        figures.mixed += is_found
        figures.silent += not is_found
    if serial <= witness:
        figures.complaints.append(f"{where}: the witness said {witness}, the start went on at {serial}")
