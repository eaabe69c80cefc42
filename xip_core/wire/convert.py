"""Model values to protobuf and back: the only place that knows both.

Blocks
    A block is a serialized `xip.v1.Block`: named arrays, little-endian, C order, each with the CRC-32 of its bytes.
    The same bytes are what a worker sends, the store keeps and a client streams; nobody in between decodes them.
    `decode_block` checks dtype, shape, size and checksum before it makes an array, and its arrays are read-only views
    of the received bytes: no copy.

Requests and digests
    `wire.convert_spec` and `wire.digests`; callers find both here.

Sizes
    Messages stay at or below 1 MiB (above 2 MiB copies become ten times slower); `chunks` cuts blobs.
"""

from __future__ import annotations

import math
import zlib
from collections.abc import Iterable, Iterator
from typing import TYPE_CHECKING

from google.protobuf.message import DecodeError

from xip_core.errors import FailureReason, IntegrityError
from xip_core.model.result import BreakerInfo, NodeProgress, Quarantine, ResultBlock, Run, RunState, WorkerInfo
from xip_core.wire.convert_spec import kernel_signature_from_wire as kernel_signature_from_wire
from xip_core.wire.convert_spec import kernel_signature_to_wire as kernel_signature_to_wire
from xip_core.wire.convert_spec import priority_from_wire as priority_from_wire
from xip_core.wire.convert_spec import run_spec_from_wire as run_spec_from_wire
from xip_core.wire.convert_spec import run_spec_to_wire as run_spec_to_wire
from xip_core.wire.digests import DIGEST_SIZE_BYTES as DIGEST_SIZE_BYTES
from xip_core.wire.digests import digest_from_wire as digest_from_wire
from xip_core.wire.digests import digest_to_wire as digest_to_wire
from xip_core.wire.v1 import common_pb2, run_pb2, worker_pb2

if TYPE_CHECKING:
    from xip_core.model.result import Columns

CHUNK_SIZE_BYTES = 1 << 20

# Fixed-size numbers only: no objects, no strings, nothing whose size depends on the machine.
DTYPE_SIZES_BYTES = {"<f8": 8, "<f4": 4, "<i8": 8, "<i4": 4, "<u8": 8, "<u4": 4, "|u1": 1, "|i1": 1, "|b1": 1}
DIMENSION_COUNT_MAX = 4  # a tile has rows x scenarios and at most two inner dimensions
DIMENSION_MAX = 1 << 31  # keeps a hostile shape such as (0, 2**63) out of numpy


def encode_block(columns: Columns) -> bytes:
    """
    Serialize *columns* in their order.

    Raises:
        ValueError: a dtype that is not in `DTYPE_SIZES_BYTES`, or too many dimensions.
    """
    block = common_pb2.Block()
    for name, array in columns.items():
        dtype = array.dtype.str
        if dtype not in DTYPE_SIZES_BYTES or array.ndim > DIMENSION_COUNT_MAX:
            raise ValueError(
                f"column {name!r} must be one of {', '.join(DTYPE_SIZES_BYTES)} with at most {DIMENSION_COUNT_MAX} "
                f"dimensions, got {dtype} {array.shape}"
            )
        data = array.tobytes()  # C order whatever the strides
        block.columns.add(name=name, dtype=dtype, shape=array.shape, data=data, checksum=zlib.crc32(data))
    return block.SerializeToString()


def decode_block(data: bytes) -> Columns:
    """
    Arrays of a serialized block, read-only.

    Raises:
        IntegrityError: not a block, or a column whose dtype, shape, size or checksum is wrong.
    """
    import numpy as np  # here and not above: the client starts daemons and submits before it needs an array

    try:
        block = common_pb2.Block.FromString(data)
    except DecodeError as error:
        raise IntegrityError(f"block of {len(data)} bytes is not a xip.v1.Block: {error}") from None
    columns: Columns = {}
    for column in block.columns:
        buffer = column.data
        shape = _checked_shape(column, len(buffer))
        if zlib.crc32(buffer) != column.checksum:
            raise IntegrityError(f"column {column.name!r}: CRC-32 must be {column.checksum:08x} as sent with its bytes")
        if column.name in columns:
            raise IntegrityError(f"column {column.name!r} appears twice in its block")
        columns[column.name] = np.frombuffer(buffer, dtype=column.dtype).reshape(shape)
    return columns


def as_received(columns: Columns) -> Columns:
    """
    What `decode_block` makes of `encode_block(columns)`, but for sums that are taken only where bytes have travelled:
    read-only arrays in C order. They share the memory of *columns*, where that holds little else.
    """
    import numpy as np  # as in `decode_block`

    received: Columns = {}
    for name, array in columns.items():
        whole = array if array.base is None else array.base
        is_part = not isinstance(whole, np.ndarray) or whole.nbytes > array.nbytes
        own = np.array(array, order="C") if is_part else np.asarray(array, order="C").view()
        own.flags.writeable = False
        received[name] = own
    return received


def _checked_shape(column: common_pb2.Column, size_bytes: int) -> tuple[int, ...]:
    item_size_bytes = DTYPE_SIZES_BYTES.get(column.dtype)
    if item_size_bytes is None:
        raise IntegrityError(
            f"column {column.name!r}: dtype must be one of {', '.join(DTYPE_SIZES_BYTES)}, got {column.dtype!r}"
        )
    shape = tuple(column.shape)
    if len(shape) > DIMENSION_COUNT_MAX or any(length > DIMENSION_MAX for length in shape):
        raise IntegrityError(
            f"column {column.name!r}: shape must have at most {DIMENSION_COUNT_MAX} dimensions below 2^31, got {shape}"
        )
    if math.prod(shape) * item_size_bytes != size_bytes:
        raise IntegrityError(f"column {column.name!r}: {column.dtype} {shape} does not fit {size_bytes} bytes")
    return shape


def chunks(data: bytes, chunk_size_bytes: int = CHUNK_SIZE_BYTES) -> Iterator[bytes]:
    """Consecutive pieces of *data*; one empty piece when it is empty."""
    for begin in range(0, max(len(data), 1), chunk_size_bytes):
        yield data[begin : begin + chunk_size_bytes]


def run_to_wire(run: Run) -> run_pb2.Run:
    return run_pb2.Run(
        run_id=run.run_id,
        name=run.name,
        tenant=run.tenant,
        state=run_pb2.RunState.ValueType(run.state),
        submitted_at_s=run.submitted_at_s,
        finished_at_s=run.finished_at_s,
        cell_count=run.cell_count,
        cells_done=run.cells_done,
        cells_quarantined=run.cells_quarantined,
        worker_count=run.worker_count,
        slot_count=run.slot_count,
        nodes=[
            run_pb2.NodeProgress(
                node_id=node.node_id,
                name=node.name,
                kind=node.kind,
                kernel=node.kernel,
                kernel_version=node.kernel_version,
                tile_count=node.tile_count,
                tiles_done=node.tiles_done,
                tiles_leased=node.tiles_leased,
                kernels=dict(node.kernels),
                tiles_reused=node.tiles_reused,
            )
            for node in run.nodes
        ],
        book_digest=digest_to_wire(run.book_digest),
        market_digest=digest_to_wire(run.market_digest),
        scenarios_digest=digest_to_wire(run.scenarios_digest),
        plan_digest=digest_to_wire(run.plan_digest),
        message=run.message,
        epoch_last=run.epoch_last,
        first_lease_after_s=run.first_lease_after_s,
        priority=run_pb2.Priority.ValueType(run.priority),
        deadline_after_s=run.deadline_after_s,
        paused=run.is_paused,
        eta_s=run.eta_s,
        retry_of=run.retry_of,
        reuse_of=run.reuse_of,
    )


def run_from_wire(message: run_pb2.Run) -> Run:
    """
    Raises:
        IntegrityError: a state this version does not know.
    """
    try:
        state = RunState(message.state)
    except ValueError:
        raise IntegrityError(f"run {message.run_id!r}: state {message.state} is not known to this version") from None
    return Run(
        run_id=message.run_id,
        name=message.name,
        tenant=message.tenant,
        state=state,
        submitted_at_s=message.submitted_at_s,
        finished_at_s=message.finished_at_s,
        cell_count=message.cell_count,
        cells_done=message.cells_done,
        cells_quarantined=message.cells_quarantined,
        worker_count=message.worker_count,
        slot_count=message.slot_count,
        nodes=tuple(
            NodeProgress(
                node.node_id,
                node.name,
                node.kind,
                node.kernel,
                node.kernel_version,
                node.tile_count,
                node.tiles_done,
                node.tiles_leased,
                tuple(sorted(node.kernels.items())),
                node.tiles_reused,
            )
            for node in message.nodes
        ),
        book_digest=message.book_digest.hex(),
        market_digest=message.market_digest.hex(),
        scenarios_digest=message.scenarios_digest.hex(),
        plan_digest=message.plan_digest.hex(),
        message=message.message,
        epoch_last=message.epoch_last,
        first_lease_after_s=message.first_lease_after_s,
        priority=priority_from_wire(message.priority),
        deadline_after_s=message.deadline_after_s,
        is_paused=message.paused,
        eta_s=message.eta_s,
        retry_of=message.retry_of,
        reuse_of=message.reuse_of,
    )


def quarantine_to_wire(quarantine: Quarantine) -> common_pb2.Quarantine:
    return common_pb2.Quarantine(
        row=quarantine.row,
        scenario_begin=quarantine.scenario_begin,
        scenario_end=quarantine.scenario_end,
        reason=common_pb2.FailureReason.ValueType(quarantine.reason),
        message=quarantine.message,
        trade_id=quarantine.trade_id,
    )


def quarantine_from_wire(message: common_pb2.Quarantine) -> Quarantine:
    return Quarantine(
        row=message.row,
        scenario_begin=message.scenario_begin,
        scenario_end=message.scenario_end,
        trade_id=message.trade_id,
        reason=message.reason,
        message=message.message,
    )


def quarantines_from_wire(messages: Iterable[common_pb2.Quarantine]) -> tuple[Quarantine, ...]:
    return tuple(quarantine_from_wire(message) for message in messages)


def reason_name(reason: int) -> str:
    """Such as "MISSING_DATA"; the bare number for a reason of a newer version."""
    try:
        return FailureReason(reason).name
    except ValueError:
        return str(reason)


def result_block_from_wire(message: run_pb2.StreamResultsResponse) -> ResultBlock:
    """
    Raises:
        IntegrityError: see `decode_block`.
    """
    return ResultBlock(message.cursor, message.node_id, message.tile, decode_block(message.block))


def worker_info_to_wire(worker: WorkerInfo) -> worker_pb2.Worker:
    return worker_pb2.Worker(
        worker_id=worker.worker_id,
        host=worker.host,
        pid=worker.pid,
        slot_count=worker.slot_count,
        cpu_level=worker.cpu_level,
        version=worker.version,
        lease_count=worker.lease_count,
        tiles_done=worker.tiles_done,
        attached_s=worker.attached_s,
        heartbeat_age_s=worker.heartbeat_age_s,
        memory_bytes=worker.memory_bytes,
        draining=worker.is_draining,
        speed=worker.speed,
        drain_reason=worker.drain_reason,
    )


def worker_info_from_wire(message: worker_pb2.Worker) -> WorkerInfo:
    return WorkerInfo(
        worker_id=message.worker_id,
        host=message.host,
        pid=message.pid,
        slot_count=message.slot_count,
        cpu_level=message.cpu_level,
        version=message.version,
        lease_count=message.lease_count,
        tiles_done=message.tiles_done,
        attached_s=message.attached_s,
        heartbeat_age_s=message.heartbeat_age_s,
        memory_bytes=message.memory_bytes,
        is_draining=message.draining,
        speed=message.speed,
        drain_reason=message.drain_reason,
    )


def breaker_info_to_wire(breaker: BreakerInfo) -> worker_pb2.KernelBreaker:
    return worker_pb2.KernelBreaker(
        kernel=breaker.kernel, version=breaker.version, state=breaker.state, reason=breaker.reason
    )


def breaker_info_from_wire(message: worker_pb2.KernelBreaker) -> BreakerInfo:
    return BreakerInfo(message.kernel, message.version, message.state, message.reason)
