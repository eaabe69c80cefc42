"""xip_scheduler.rpc.reusing: what a run takes over of an earlier one of its tenant, over the wire"""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import grpc.aio
import msgspec
import pytest

from tests.core.graph.builders import AS_OF, a_book, a_line, a_market, some_scenarios
from tests.scheduler.rpc.conftest import Serve, Served, probe_request
from tests.scheduler.rpc.protocol_worker import ProtocolWorker, a_result
from tests.scheduler.rpc.test_runs import refusal, rest_of
from xip_core.graph.plan import digest_of
from xip_core.model.market import decode_snapshot, encode_snapshot
from xip_core.wire.status import reason_of
from xip_core.wire.v1 import blob_pb2, common_pb2, run_pb2, worker_pb2
from xip_scheduler.settings import Settings
from xip_scheduler.store.protocol import Batch

BOOK = a_book(a_line("A", "fx_forward"), a_line("B"))
OBJECTS = {"resolve terms/fx": ("fx/USD",), "resolve terms/rates": ("curve/EUR",)}
"""What the worker says that rows need; there is no such curve, which is the worker's affair."""

TILES = 6
"""Of a run: calibrate, two resolve, two value, reduce, one each."""


def a_tick(rate: float) -> bytes:
    snapshot = decode_snapshot(a_market())
    return encode_snapshot(msgspec.structs.replace(snapshot, quotes={"FX/EUR/USD": rate}))


def a_request(request_id: str, market: bytes, tenant: str = "desk", **changes: object) -> run_pb2.SubmitRunRequest:
    digests = [bytes.fromhex(digest_of(blob)) for blob in (BOOK, market, some_scenarios(3))]
    risk = run_pb2.RiskWork(
        book_digest=digests[0],
        market_digest=digests[1],
        scenarios_digest=digests[2],
        measures=["pv"],
        base_currency="EUR",
        as_of=AS_OF,
    )
    spec = run_pb2.RunSpec(name="risk", tenant=tenant, risk=risk, **changes)  # type: ignore[arg-type]  # checked by protobuf
    return run_pb2.SubmitRunRequest(request_id=request_id, spec=spec)


async def submit(
    served: Served, request_id: str, market: bytes, tenant: str = "desk", **changes: object
) -> run_pb2.Run:
    for blob in (BOOK, market, some_scenarios(3)):
        requests = [blob_pb2.UploadRequest(digest=bytes.fromhex(digest_of(blob)), size_bytes=len(blob), chunk=blob)]
        await served.blobs.Upload(iter(requests))
    return (await served.runs.SubmitRun(a_request(request_id, market, tenant, **changes))).run


async def work_off(worker: ProtocolWorker, run: run_pb2.Run, tile_count: int, bad_row: int | None = None) -> list[str]:
    """Compute *tile_count* tiles of *run*; the names of their nodes. Row *bad_row* crashes where it is valued."""
    computed: list[str] = []
    sequence = 0
    while len(computed) < tile_count:
        lease = await worker.lease()
        assert lease.run_id == run.run_id
        name = run.nodes[lease.node_id].name
        for tile in range(lease.tile_begin, lease.tile_end):
            result = a_result(lease, tile, detail=name.startswith("value"))
            result.output = f"{run.run_id} {name} {tile}".encode()
            result.objects.extend(OBJECTS.get(name, ()))
            result.cell_count = 3 if name.startswith("value") else 0
            if name == "value terms/rates" and bad_row is not None:
                reason = common_pb2.FAILURE_REASON_CRASHED
                cells = common_pb2.Quarantine(row=bad_row, scenario_end=3, reason=reason, message="boom", trade_id="B")
                result.quarantine.append(cells)
            sequence = await worker.report(result)
            computed.append(name)
    await worker.until_acknowledged(sequence)
    return computed


async def explained(served: Served, run_id: str) -> tuple[run_pb2.Run, dict[str, Any]]:
    answer = await served.runs.ExplainRun(run_pb2.ExplainRunRequest(run_id=run_id))
    return answer.run, json.loads(answer.reuse or "{}")


async def test_a_tick_computes_its_cone_and_takes_the_rest_over(serve: Serve, settings: Settings) -> None:
    served = serve(settings)
    async with ProtocolWorker(served.channel) as worker:
        first = await submit(served, "q1", a_market())
        assert len(await work_off(worker, first, TILES)) == TILES
        second = await submit(served, "q2", a_tick(1.2), since=first.run_id)
        assert (second.reuse_of, second.cells_done) == (first.run_id, 3)
    await served.close()
    served = serve(settings)  # and what was taken over survives a restart
    async with ProtocolWorker(served.channel) as worker:
        computed = await work_off(worker, second, 3)
        assert computed == ["calibrate", "value terms/fx", "reduce"]
    run, reuse = await explained(served, second.run_id)
    assert run.state == run_pb2.RUN_STATE_COMPLETED
    assert {node.name: node.tiles_reused for node in run.nodes if node.tiles_reused} == {
        "resolve terms/fx": 1,
        "resolve terms/rates": 1,
        "value terms/rates": 1,
    }
    assert (reuse["run_id"], reuse["is_named"], reuse["objects"]) == (first.run_id, True, ["fx/USD"])
    assert reuse["quotes"] == [{"name": "FX/EUR/USD", "before": 1.1323, "after": 1.2}]
    reasons = {node["name"]: node["reasons"] for node in reuse["nodes"] if node["reasons"]}
    assert reasons == {
        "calibrate": [["needs market objects that changed", 1]],
        "value terms/fx": [["needs market objects that changed", 1]],
        "reduce": [["an input is computed anew", 1]],
    }
    stream: Any = served.runs.StreamResults(run_pb2.StreamResultsRequest(run_id=second.run_id))
    assert {answer.node_id for answer in await rest_of(stream)} >= {
        node.node_id for node in run.nodes if node.kind == "value"
    }


async def test_workers_learn_which_run_computed_what_is_taken_over(served: Served) -> None:
    """Through a second tick too: its resolve tiles are those of the first run, its fx value tile that of the second."""
    async with ProtocolWorker(served.channel) as worker:
        first = await submit(served, "q1", a_market())
        await work_off(worker, first, TILES)
        second = await submit(served, "q2", a_tick(1.2))
        await work_off(worker, second, 3)
        third = await submit(served, "q3", a_tick(1.2), since=second.run_id)
    names = {node.node_id: node.name for node in first.nodes}
    listed = []
    for run in (first, third):
        answer = await served.blobs.ListOrigins(blob_pb2.ListOriginsRequest(run_id=run.run_id))
        assert all((origin.tile_begin, origin.tile_end) == (0, 1) for origin in answer.origins)
        listed.append({names[origin.node_id]: origin.run_id for origin in answer.origins})
    assert listed[0] == {}
    assert listed[1] == {
        "calibrate": second.run_id,
        "resolve terms/fx": first.run_id,
        "resolve terms/rates": first.run_id,
        "value terms/fx": second.run_id,
        "value terms/rates": first.run_id,
        "reduce": second.run_id,
    }


async def test_leases_say_whether_their_run_began_with_tiles_of_others_after_a_restart_too(settings: Settings) -> None:
    served = Served(settings)
    async with ProtocolWorker(served.channel) as worker:
        first = await submit(served, "q1", a_market())
        lease = await worker.lease()
        assert not lease.has_origins
        await worker.until_acknowledged(await worker.report(a_result(lease)))
        await work_off(worker, first, TILES - 1)
        await submit(served, "q2", a_tick(1.2))
        assert (await worker.lease()).has_origins
    await served.close()
    served = Served(settings)
    async with ProtocolWorker(served.channel) as worker:
        assert (await worker.lease()).has_origins
    await served.close()


async def test_the_same_request_again_is_final_at_once(served: Served) -> None:
    async with ProtocolWorker(served.channel) as worker:
        first = await submit(served, "q1", a_market())
        await work_off(worker, first, TILES)
        again = await submit(served, "q2", a_market())
    assert (again.state, again.reuse_of) == (run_pb2.RUN_STATE_COMPLETED, first.run_id)
    assert sum(node.tiles_reused for node in again.nodes) == TILES
    third = await submit(served, "q3", a_market())
    assert third.reuse_of == again.run_id, "the newest of those that are equally alike"


async def test_no_reuse_computes_every_tile(served: Served) -> None:
    async with ProtocolWorker(served.channel) as worker:
        first = await submit(served, "q1", a_market())
        await work_off(worker, first, TILES)
        again = await submit(served, "q2", a_market(), no_reuse=True)
        assert (again.reuse_of, again.cells_done) == ("", 0)
        assert len(await work_off(worker, again, TILES)) == TILES


async def test_nothing_is_taken_over_of_another_tenant(served: Served) -> None:
    """S13: not by itself, and not when the run is named, which is answered like a run that nobody knows."""
    async with ProtocolWorker(served.channel) as worker:
        first = await submit(served, "q1", a_market())
        await work_off(worker, first, TILES)
    other = await submit(served, "q2", a_market(), tenant="other")
    assert other.reuse_of == ""
    for since in (first.run_id, "r-nobody"):
        code, reason = await refusal(submit(served, "q3", a_market(), tenant="other", since=since))
        assert reason == "BAD_SINCE", code


async def test_a_run_that_still_runs_or_is_pruned_cannot_be_named(served: Served) -> None:
    first = await submit(served, "q1", a_market())
    assert (await refusal(submit(served, "q2", a_market(), since=first.run_id)))[1] == "BAD_SINCE"
    async with ProtocolWorker(served.channel) as worker:
        await work_off(worker, first, TILES)
    await served.scheduler._store.commit(Batch(at_s=1.0, pruned=[first.run_id]))
    assert (await refusal(submit(served, "q3", a_market(), since=first.run_id)))[1] == "BAD_SINCE"
    assert (await submit(served, "q4", a_market())).reuse_of == ""


async def test_a_tile_with_a_row_that_crashed_is_computed_again(served: Served) -> None:
    async with ProtocolWorker(served.channel) as worker:
        first = await submit(served, "q1", a_market())
        await work_off(worker, first, TILES, bad_row=1)
        again = await submit(served, "q2", a_market())
        assert (again.reuse_of, again.cells_quarantined) == (first.run_id, 0)
        assert await work_off(worker, again, 2) == ["value terms/rates", "reduce"]
        _, reuse = await explained(served, again.run_id)
        reasons = {node["name"]: node["reasons"] for node in reuse["nodes"]}
        assert reasons["value terms/rates"] == [["the earlier run has no result", 1]]


async def test_quarantine_of_what_is_taken_over_comes_along_once(served: Served) -> None:
    async with ProtocolWorker(served.channel) as worker:
        first = await submit(served, "q1", a_market())
        computed = 0
        while computed < TILES:
            lease = await worker.lease()
            result = a_result(lease, detail=True)
            result.objects.extend(OBJECTS.get(first.nodes[lease.node_id].name, ()))
            if first.nodes[lease.node_id].name == "value terms/fx":
                reason = common_pb2.FAILURE_REASON_MISSING_DATA
                result.quarantine.append(common_pb2.Quarantine(row=0, scenario_end=3, reason=reason, message="none"))
                result.cell_count = 3
            await worker.until_acknowledged(await worker.report(result))
            computed += 1
        again = await submit(served, "q2", a_market())
    answer = await served.runs.GetRun(run_pb2.GetRunRequest(run_id=again.run_id, with_quarantine=True))
    assert (answer.run.state, answer.run.cells_quarantined) == (run_pb2.RUN_STATE_COMPLETED_WITH_QUARANTINE, 3)
    assert [(cells.row, cells.message) for cells in answer.quarantine] == [(0, "none")]


async def test_probes_are_measured_anew(served: Served) -> None:
    async with ProtocolWorker(served.channel) as worker:
        run = (await served.runs.SubmitRun(probe_request(2, "p1"))).run
        await worker.work_off(2)
        again = (await served.runs.SubmitRun(probe_request(2, "p2"))).run
    assert (run.cells_done, again.cells_done, again.reuse_of) == (0, 0, "")


@pytest.mark.parametrize("objects", [["x" * 70_000], []])
async def test_a_tile_whose_objects_are_not_known_is_computed_after_a_tick(served: Served, objects: list[str]) -> None:
    """A worker that says too much, or nothing, costs time and no number."""
    async with ProtocolWorker(served.channel) as worker:
        await submit(served, "q1", a_market())
        for _ in range(TILES):
            lease = await worker.lease()
            result: worker_pb2.TileResult = a_result(lease, detail=True)
            result.objects.extend(objects)
            await worker.until_acknowledged(await worker.report(result))
        again = await submit(served, "q2", a_tick(1.2))
    assert {node.name for node in again.nodes if node.tiles_reused} == {"resolve terms/fx", "resolve terms/rates"}


async def test_an_input_that_only_planning_still_keeps_is_refused_like_one_never_uploaded(
    served: Served, settings: Settings
) -> None:
    first = await submit(served, "q1", a_market())
    blobs = Path(settings.data_dir) / "blobs"
    for kind, content in (("book", BOOK), ("market", a_market()), ("scenarios", some_scenarios(3))):
        digest = digest_of(content)
        (blobs / digest[:2] / digest).unlink()
        stored = sorted(blobs.glob("??/*"))
        with pytest.raises(grpc.aio.AioRpcError) as refused:
            await served.runs.SubmitRun(a_request("q2", a_market(), tenant=kind))
        assert refused.value.code() is grpc.StatusCode.INVALID_ARGUMENT
        assert reason_of(refused.value.trailing_metadata()) == "BLOB_MISSING"
        assert f"{kind}_digest must name an uploaded blob, got {digest}" in (refused.value.details() or "")
        runs = (await served.runs.ListRuns(run_pb2.ListRunsRequest())).runs
        assert [run.run_id for run in runs] == [first.run_id]
        assert sorted(blobs.glob("??/*")) == stored
        (blobs / digest[:2] / digest).write_bytes(content)
    assert (await submit(served, "q2", a_market())).nodes
