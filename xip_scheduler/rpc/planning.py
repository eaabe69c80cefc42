"""A request planned: off the event loop, from blobs that are here, with the plan durable before anybody names it."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping

from xip_core.errors import RequestError
from xip_core.graph.plan import Plan
from xip_core.model.run_spec import KernelSignature
from xip_core.wire import convert
from xip_core.wire.v1 import run_pb2
from xip_scheduler.store.blobs import FileBlobs


def plan_of(spec: run_pb2.RunSpec, blobs: FileBlobs, announced: Mapping[str, KernelSignature]) -> Plan:
    """
    Runs in the planner's thread.

    Raises:
        RequestError: as `planner.plan_run`, which answers from what it keeps of blobs: one that was removed since is
            BLOB_MISSING all the same.
    """
    plan = load_planner()(convert.run_spec_from_wire(spec), _Blobs(blobs), announced)
    for one in plan.inputs:  # asked for, so that nothing removes what is about to be named (`retention`)
        if not blobs.has(one.digest):
            where = f"node {one.of!r}: " if one.of else ""
            sentence = f"{one.kind}_digest must name an uploaded blob, got {one.digest}, which is not here"
            raise RequestError("BLOB_MISSING", where + sentence)
    return plan


def store_plan(plan: Plan, blobs: FileBlobs) -> str:
    """The digest of *plan*, which is durable as a blob when this returns. Runs in the planner's thread."""
    return blobs.put(plan.encode())


class _Blobs:
    """What the planner reads: `sources.LinedBlob`."""

    def __init__(self, blobs: FileBlobs) -> None:
        self._blobs = blobs

    def __call__(self, digest: str) -> bytes:
        return self._blobs.get(digest)

    def lines(self, digest: str) -> Iterable[bytes]:
        return self._blobs.lines(digest)


def load_planner() -> Callable[..., Plan]:
    from xip_core.graph.planner import plan_run  # numpy and the market model: not before the scheduler serves

    return plan_run
