"""What slots see of the caches: the plan of a lease, and the data its tiles read (`TileData`).

Which tiles of an input a lease is going to read follows from its range and the node's `InputRef`; `LeaseData.output`
uses it to fetch neighbours in one stream. A reduce tile, which reads every tile of its inputs, so asks once for 64.

An output is kept under the run that computed it, so a run that began with tiles of an earlier one finds what is kept of
that one (`origins`). One that was not sent is made anew (`remaking`) by the first slot that reads it.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Iterator

from xip_core.errors import IntegrityError
from xip_core.graph.plan import Plan, decode_plan
from xip_core.pricing.polling import IsCancelled
from xip_core.pricing.tile import Columns, Maker
from xip_core.wire.convert import as_received, decode_block
from xip_worker.arrival import Received
from xip_worker.cache import BLOBS_BYTES_MAX, OUTPUTS_BYTES_MAX, BlobCache, LoadingCache, Memo, OutputCache, OutputKey
from xip_worker.events import Fetched, Lease
from xip_worker.executor import EvaluateTile
from xip_worker.fetch import Fetcher
from xip_worker.meter import FetchMeter
from xip_worker.origins import TILES_BEYOND, KnownOrigins
from xip_worker.remaking import REMADE_KINDS

PLANS_BYTES_MAX = 16 << 20
"""Serialized; decoded about three times as much. A plan of 2,000 trades has 10 kB."""

LOOK_AHEAD_TILES_MAX = 4_096
"""Tiles of a lease looked at to find which inputs come next."""


BASES_MAX = 2
"""Blobs of a kind offered as bases: two days, or two desks, may take turns."""


class WorkerInputs:
    """
    The caches of one worker process, shared by its slots.

    Args:
        evaluate_tile: makes outputs that were not sent.
    """

    def __init__(
        self,
        fetcher: Fetcher,
        evaluate_tile: EvaluateTile,
        blobs_bytes_max: int = BLOBS_BYTES_MAX,
        outputs_bytes_max: int = OUTPUTS_BYTES_MAX,
    ) -> None:
        self.fetcher = fetcher
        self.evaluate_tile = evaluate_tile
        self._plans: LoadingCache[bytes, Plan] = LoadingCache(PLANS_BYTES_MAX)
        self.blobs = BlobCache(blobs_bytes_max)
        self.outputs = OutputCache(outputs_bytes_max)
        self.origins = KnownOrigins(fetcher)
        self.memo = Memo()
        self.meter = FetchMeter()
        self._last: dict[str, deque[str]] = {}

    def plan(self, digest: bytes, is_cancelled: IsCancelled) -> Plan:
        """
        Raises:
            IntegrityError: the blob is not a plan this version reads, or breaks the invariants of a plan.
        """
        return self._plans.get(digest, lambda: self._load_plan(digest.hex(), is_cancelled))

    def tile_data(self, lease: Lease, plan: Plan, is_cancelled: IsCancelled) -> LeaseData:
        return LeaseData(self, lease, plan, is_cancelled)

    def take_fetched(self) -> tuple[int, tuple[Fetched, ...]]:
        """See `Inputs.take_fetched` of the executor."""
        return self.meter.take()

    def keep_output(self, lease: Lease, plan: Plan, tile: int, output: Columns | bytes) -> None:
        """Only what later nodes read; the arrays are those that another worker would get."""
        if any(ref.node_id == lease.node_id for node in plan.nodes for ref in node.inputs):
            columns = decode_block(output) if isinstance(output, bytes) else as_received(output)
            self.outputs.put(OutputKey(lease.run_id, lease.node_id, tile), columns)

    def expect(self, leases: tuple[Lease, ...]) -> None:
        """Leases have come: on the event loop, what the first tiles of a run would else wait for."""
        self.origins.expect({lease.run_id for lease in leases if lease.has_origins})

    def held_of(self, kind: str) -> dict[str, bytes]:
        """Blobs of the kind that were fetched last and are still held, by digest."""
        held = ((digest, self.blobs.peek(digest)) for digest in list(self._last.get(kind, ())))
        return {digest: content for digest, content in held if content is not None}

    def remember(self, kind: str, digest: str) -> None:
        """The blob will be a base for the next one of its kind."""
        last = self._last.setdefault(kind, deque(maxlen=BASES_MAX))
        if digest not in last:
            last.append(digest)

    def blob(self, kind: str, digest: str, is_cancelled: IsCancelled) -> bytes:
        """The blob. Where one of its kind is held, it comes as a delta; if that makes another content, whole."""

        def as_delta(digest: str) -> Received:
            received, received_bytes, is_delta = self.fetcher.blob_like(digest, bases, is_cancelled)
            self.meter.received(f"{kind} delta" if is_delta else kind, received_bytes)
            return received

        def whole(digest: str) -> Received:
            received = self.fetcher.blob(digest, is_cancelled)
            self.meter.received(kind, len(received.content))
            return received

        with self.meter.waiting():
            held = self.blobs.find(digest)
            if held is not None:
                return held
            bases = self.held_of(kind)
            content = self.blobs.get(digest, as_delta, whole) if bases else self.blobs.get(digest, whole)
            self.remember(kind, digest)
            return content

    def _load_plan(self, digest: str, is_cancelled: IsCancelled) -> tuple[Plan, int]:
        content = self.blob("plan", digest, is_cancelled)
        try:
            plan = decode_plan(content)
            plan.check()
        except (ValueError, AssertionError) as error:
            raise IntegrityError(f"blob {digest} must be a plan, got {len(content)} bytes: {error!r}") from error
        return plan, len(content)


class LeaseData:
    """TileData of one lease."""

    def __init__(self, inputs: WorkerInputs, lease: Lease, plan: Plan, is_cancelled: IsCancelled) -> None:
        self._inputs = inputs
        self._is_cancelled = is_cancelled
        self._lease = lease
        self._plan = plan
        self._needed: dict[int, frozenset[int] | int] = {}

    def blob(self, digest: str) -> bytes:
        return self._inputs.blob(_kind_of(self._plan, digest), digest, self._is_cancelled)

    def output(self, node_id: int, tile: int) -> Columns:
        inputs, run_id = self._inputs, self._lease.run_id
        with inputs.meter.waiting():
            held = inputs.outputs.find(OutputKey(run_id, node_id, tile))
            if held is not None:
                return held
            computed_in, end = self._origin_of(node_id, tile)
            key = OutputKey(computed_in or run_id, node_id, tile)
            is_remade = self._plan.nodes[node_id].kind in REMADE_KINDS  # another slot may make the next one meanwhile
            count = 0 if is_remade else min(self._following_count(node_id, tile), end - tile - 1)
            return inputs.outputs.get(key, self._fetch_outputs, count)

    def memo(self, key: tuple[object, ...], make: Maker) -> object:
        return self._inputs.memo.get(key, make)

    def _fetch_outputs(self, key: OutputKey, count: int) -> Iterator[tuple[int, Columns]]:
        outputs = self._inputs.fetcher.outputs(
            self._lease.run_id, key.node_id, key.tile, key.tile + count, self._is_cancelled
        )
        self._inputs.meter.received("outputs", sum(len(content) for _, content in outputs))
        is_remade = self._plan.nodes[key.node_id].kind in REMADE_KINDS
        for tile, content in outputs:
            yield tile, self._made(key.node_id, tile) if is_remade and not content else decode_block(content)

    def _made(self, node_id: int, tile: int) -> Columns:
        """The output of a tile, made here; nothing is reported."""
        inputs = self._inputs
        with inputs.meter.working():
            value = inputs.evaluate_tile(self._plan, node_id, tile, self, self._is_cancelled)
        return as_received(value.output)

    def _origin_of(self, node_id: int, tile: int) -> tuple[str, int]:
        """See `Origins.of`."""
        if not self._lease.has_origins:
            return "", TILES_BEYOND
        return self._inputs.origins.of_run(self._lease.run_id, self._is_cancelled).of(node_id, tile)

    def _following_count(self, node_id: int, tile: int) -> int:
        """Tiles directly behind *tile* that this lease reads as well."""
        needed = self._needed.get(node_id)
        if needed is None:
            needed = self._needed[node_id] = self._tiles_needed(node_id)
        if isinstance(needed, int):
            return needed - tile - 1
        count = 0
        while tile + count + 1 in needed:
            count += 1
        return count

    def _tiles_needed(self, node_id: int) -> frozenset[int] | int:
        """Of the input *node_id*: the tiles read by this lease, or the tile count where it reads all."""
        lease = self._lease
        tiles = range(lease.tile_begin, min(lease.tile_end, lease.tile_begin + LOOK_AHEAD_TILES_MAX))
        refs = [ref for ref in self._plan.nodes[lease.node_id].inputs if ref.node_id == node_id]
        tile_count = self._plan.nodes[node_id].tile_count
        if any(len(ref.tiles_needed(tiles[0], tile_count)) == tile_count for ref in refs):
            return tile_count
        return frozenset(needed for ref in refs for tile in tiles for needed in ref.tiles_needed(tile, tile_count))


def _kind_of(plan: Plan, digest: str) -> str:
    """What a blob is to *plan*."""
    for source in plan.sources:
        if digest == source.book_digest:
            return "book"
        if digest == source.market_digest:
            return "market"
        if digest == source.scenarios_digest:
            return "scenarios"
    if any(node.aggregate is not None and digest == node.aggregate.covariance for node in plan.nodes):
        return "covariance"
    return "table"
