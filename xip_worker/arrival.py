"""A blob on its way: from the event loop, which receives it piece by piece, to the slot that waits for it.

    event loop ──begin, pieces, ... end──> road ──> slot: hashes each piece, joins them once
    a call that is tried again begins again: what came before is forgotten

Hashing and joining leave the interpreter's lock alone, and the loop does not touch what it hands over. Other slots go
on meanwhile, and the digest of a book is known with its last piece. When 36 MiB were appended to an array, copied and
hashed, the loop had 51 ms of work and the slot 27 behind it; now the loop has 24.
"""

from __future__ import annotations

from enum import Enum, auto
from queue import Empty, SimpleQueue

import msgspec

from xip_core.graph.plan import hash_of_pieces
from xip_core.pricing.polling import IsCancelled
from xip_core.pricing.tile import TileCancelledError

HANDED_OVER_BYTES = 2 << 20
"""A slot is woken for so much at a time: each time it waits for the interpreter's lock, twice where there is none."""


class Received(msgspec.Struct, frozen=True):
    """Bytes and their digest, which is computed of them and not what was asked for."""

    content: bytes
    digest: str


class _Mark(Enum):
    BEGIN = auto()
    END = auto()


class Arrival:
    """One blob. `begin`, `add` and `end` are the event loop's, `collect` is the slot's."""

    def __init__(self) -> None:
        self._road: SimpleQueue[list[bytes] | _Mark] = SimpleQueue()
        self._pieces: list[bytes] = []
        self._held_bytes = 0
        self.size_bytes = 0

    def begin(self) -> None:
        """The first piece is next, whatever came before."""
        self._pieces, self._held_bytes, self.size_bytes = [], 0, 0
        self._road.put(_Mark.BEGIN)

    def add(self, piece: bytes) -> None:
        self._pieces.append(piece)
        self._held_bytes += len(piece)
        self.size_bytes += len(piece)
        if self._held_bytes >= HANDED_OVER_BYTES:
            self._hand_over()

    def end(self) -> None:
        """Nothing more comes, for whatever reason."""
        self._hand_over()
        self._road.put(_Mark.END)

    def _hand_over(self) -> None:
        self._road.put(self._pieces)
        self._pieces, self._held_bytes = [], 0

    def collect(self, is_cancelled: IsCancelled, look_s: float) -> Received:
        """
        All that came since the last beginning, once the end is there.

        Raises:
            TileCancelledError: *is_cancelled*, which is asked every *look_s*, said so.
        """
        pieces: list[bytes] = []
        hashing = hash_of_pieces()
        while True:
            try:
                came = self._road.get(timeout=look_s)
            except Empty:
                came = []
            if is_cancelled():
                raise TileCancelledError
            if came is _Mark.END:
                return Received(b"".join(pieces), hashing.hexdigest())
            if came is _Mark.BEGIN:
                pieces, hashing = [], hash_of_pieces()
                continue
            assert isinstance(came, list), came
            for piece in came:
                hashing.update(piece)
            pieces += came
