"""What the writers were told, kept apart from the store, and what must follow from it.

    acknowledged    `commit` returned: the batch is in every later state of the database
    unknown         `commit` raised, or the writer was replaced: the batch is there as a whole or not at all
    fenced          offered after another led: it must never be there

A batch is a few tiles of one run, their outputs and one quarantined cell that carries the batch's number. Records of a
tile offered twice are ignored by the store, so they could not show a batch written twice; the cell does, for the store
takes every one it is given. Nothing here is read by the code under test.
"""

from __future__ import annotations

import msgspec
import psycopg

from xip_scheduler.store.protocol import Batch

RUN_ID = "r1"
TILES_PER_BATCH = 3


def output_of(tile: int) -> bytes:
    """The bytes of a tile are a function of the tile alone (S11)."""
    return (b"%d " % tile) * (tile % 50 + 1)


class Offered(msgspec.Struct):
    """
    Attributes:
        term: of the writer.
        is_fenced: offered when a larger term was already in force.
    """

    number: int
    term: int
    is_fenced: bool
    is_acknowledged: bool = False

    @property
    def tiles(self) -> range:
        return range(self.number * TILES_PER_BATCH, (self.number + 1) * TILES_PER_BATCH)


class Ledger:
    def __init__(self) -> None:
        self.offered: list[Offered] = []
        self.term = 0

    def offer(self, term: int) -> tuple[Offered, Batch]:
        """The next batch of the writer of *term*."""
        offered = Offered(len(self.offered), term, is_fenced=term < self.term)
        self.offered.append(offered)
        batch = Batch(
            at_s=1.0,
            records=[(RUN_ID, 0, tile, tile + 1, term, f"w{term}", 1, 0) for tile in offered.tiles],
            outputs=[(RUN_ID, 0, tile, output_of(tile)) for tile in offered.tiles],
            quarantine=[(RUN_ID, offered.number, 0, 1, 5, "serial", f"{term}")],
        )
        return offered, batch

    def check(self, connection: psycopg.Connection, is_quiet: bool) -> list[str]:
        """
        Complaints, none if all holds.

        Args:
            connection: another's than the writers'.
            is_quiet: nobody writes: the sums must agree too.
        """
        complaints = []
        serials = dict(connection.execute("SELECT row, count(*) FROM quarantine GROUP BY row").fetchall())
        tiles = dict(connection.execute("SELECT tile_begin, epoch FROM tile_record ORDER BY 1").fetchall())
        outputs = dict(connection.execute("SELECT tile, block FROM tile_output").fetchall())
        for offered in self.offered:
            count = serials.pop(offered.number, 0)
            kept = [tile for tile in offered.tiles if tile in tiles]
            what = f"batch {offered.number} of term {offered.term}"
            if offered.is_acknowledged and count == 0:
                complaints.append(f"{what}: acknowledged and lost (S5)")
            if offered.is_fenced and (count or kept):
                complaints.append(f"{what}: written although term {self.term} led (S4)")
            if count > 1:
                complaints.append(f"{what}: written {count} times (S7)")
            if len(kept) != TILES_PER_BATCH * min(count, 1):
                complaints.append(f"{what}: {len(kept)} of its tiles are there, its cell {count} times: not whole")
            if any(tiles[tile] != offered.term or outputs.get(tile) != output_of(tile) for tile in kept):
                complaints.append(f"{what}: its tiles are not what was written (S11)")
        complaints += [f"batch {number}: nobody offered it" for number in serials]
        if is_quiet:
            complaints += self._check_sums(connection, len(tiles))
        return complaints

    @staticmethod
    def _check_sums(connection: psycopg.Connection, tile_count: int) -> list[str]:
        found = connection.execute("SELECT coalesce(sum(tiles_done), 0) FROM node_tally").fetchone()
        if found != (tile_count,):
            return [f"the tally must be {tile_count} tiles, got {found}"]
        return []
