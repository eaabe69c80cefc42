"""Files that changed while nobody looked: flipped bits, swapped pages, cut ends.

SQLite keeps no checksum of a page, so a changed byte that leaves the structure whole is found later or elsewhere. Who
finds it, in this order:

    start      the scheduler refuses to open the store: pages, the audit's end, commits that are gone
    verify     `xipctl store verify`: sums, seals, the audit's account of each run
    reader     the block's own checksum, when a worker or a client reads it
    harmless   nothing that anybody reads has changed
    silent     none of these
"""

from __future__ import annotations

import random
import shutil
import sqlite3
import tempfile
from collections import Counter
from collections.abc import Callable
from contextlib import closing
from pathlib import Path

from tests.storefaults.kill import MEMORY
from tests.storefaults.script import State, is_intact, state_of
from xip_core.errors import XipError
from xip_scheduler.store.sqlite import DATABASE_NAME, SqliteStore
from xip_scheduler.store.verify import verify_store

PAGE_BYTES = 4096
FINDERS = ("start", "verify", "reader", "harmless", "silent")

Damage = Callable[[random.Random, Path], None]


def flip_bit(chance: random.Random, path: Path) -> None:
    content = bytearray(path.read_bytes())
    content[chance.randrange(len(content))] ^= 1 << chance.randrange(8)
    path.write_bytes(content)


def swap_pages(chance: random.Random, path: Path) -> None:
    content = bytearray(path.read_bytes())
    one, other = (PAGE_BYTES * number for number in chance.sample(range(len(content) // PAGE_BYTES), 2))
    page = content[one : one + PAGE_BYTES]
    content[one : one + PAGE_BYTES] = content[other : other + PAGE_BYTES]
    content[other : other + PAGE_BYTES] = page
    path.write_bytes(content)


def cut_end(chance: random.Random, path: Path) -> None:
    content = path.read_bytes()
    path.write_bytes(content[: chance.randrange(len(content))])


DAMAGES: dict[str, tuple[str, Damage]] = {
    "bit flip in the file": (DATABASE_NAME, flip_bit),
    "bit flip in the WAL": (f"{DATABASE_NAME}-wal", flip_bit),
    "two pages swapped": (DATABASE_NAME, swap_pages),
    "file cut short": (DATABASE_NAME, cut_end),
    "WAL cut short": (f"{DATABASE_NAME}-wal", cut_end),
}


def found_by(template: Path, damage: str, seed: int) -> tuple[str, str]:
    """Who finds this damage in a copy of the crashed store *template*, and what changed where nobody does."""
    file_name, change = DAMAGES[damage]
    with tempfile.TemporaryDirectory(dir=MEMORY) as name:
        directory = Path(name) / "data"
        shutil.copytree(template, directory)
        if file_name == DATABASE_NAME:  # a clean stop, so that what is in the WAL does not mend it
            SqliteStore(directory).close()
        undamaged = Path(name) / "undamaged"
        shutil.copytree(directory, undamaged)
        with closing(SqliteStore(undamaged)) as store:
            expected = state_of(store)
        change(random.Random(seed), directory / file_name)
        looked_at = Path(name) / "verify"
        shutil.copytree(directory, looked_at)
        try:
            with closing(SqliteStore(directory)) as store:
                found = state_of(store)
        except (XipError, sqlite3.Error):
            return "start", ""
        if found == expected:
            return "harmless", ""
        if not verify_store(looked_at).is_sound:
            return "verify", ""
        changed = _differences(expected, found)
        return ("reader", "") if changed == ["blocks"] else ("silent", ", ".join(changed))


def _differences(expected: State, found: State) -> list[str]:
    names = []
    for name in State.__struct_fields__:
        one, other = getattr(expected, name), getattr(found, name)
        if one == other:
            continue
        if name in ("outputs", "details") and _blocks_tell(name, other):
            name = "blocks"
        names.append(name)
    return sorted(set(names))


def _blocks_tell(name: str, found: dict[object, object]) -> bool:
    blocks = found.values() if name == "outputs" else [row[2] for rows in found.values() for row in rows]  # type: ignore[attr-defined]  # lists of rows
    return not all(is_intact(block) for block in blocks)  # type: ignore[arg-type]  # bytes


def survey(template: Path, count: int, first_seed: int = 0) -> dict[str, Counter[str]]:
    """For each kind of damage, how many of *count* were found by whom; "silent: what" tells what changed."""
    table: dict[str, Counter[str]] = {}
    for damage in DAMAGES:
        table[damage] = Counter()
        for seed in range(first_seed, first_seed + count):
            finder, what = found_by(template, damage, seed)
            table[damage][finder if finder != "silent" else f"silent: {what}"] += 1
    return table
