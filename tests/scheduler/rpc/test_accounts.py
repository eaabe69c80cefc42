"""The account of a run over restarts of the scheduler, over the wire"""

from __future__ import annotations

import msgspec
import pytest

from tests.scheduler.rpc.conftest import Serve, Served
from tests.scheduler.rpc.protocol_worker import ProtocolWorker, a_result
from xip_core.model.account import RunAccount
from xip_core.wire.v1 import run_pb2, worker_pb2
from xip_scheduler import journal
from xip_scheduler.settings import Settings

TILES = 6
SECOND_NS = 1_000_000_000


async def account(served: Served, run_id: str) -> RunAccount:
    answer = await served.runs.ExplainRun(run_pb2.ExplainRunRequest(run_id=run_id))
    return msgspec.json.decode(answer.account, type=RunAccount)


async def work_off(worker: ProtocolWorker, tile_count: int) -> None:
    """Tile n takes n + 1 seconds, half of it waiting for a market of 100 bytes."""
    for _ in range(tile_count):
        lease = await worker.lease()
        result = a_result(lease)
        result.elapsed_ns = (lease.tile_begin + 1) * SECOND_NS
        result.fetch_ns = result.elapsed_ns // 2
        result.fetched.append(worker_pb2.Fetched(kind="market", size_bytes=100, count=1))
        await worker.until_acknowledged(await worker.report(result))


def sums(of: RunAccount) -> tuple[object, ...]:
    (node,) = of.nodes
    return node.tiles_timed, node.elapsed_s, node.fetch_s, node.cells_timed, node.slowest, of.traffic


async def killed(served: Served) -> None:
    """As kill -9: nothing more is stored."""
    served.scheduler.driver._journal._unaccounted.clear()
    await served.close()


@pytest.mark.parametrize("is_killed", [True, False])
async def test_an_account_goes_on_after_a_restart_where_it_was(
    serve: Serve, settings: Settings, monkeypatch: pytest.MonkeyPatch, is_killed: bool
) -> None:
    monkeypatch.setattr(journal, "ACCOUNT_INTERVAL_S", 0.0 if is_killed else 1e9)
    served = serve(settings)
    run = await served.submit(TILES)
    async with ProtocolWorker(served.channel) as worker:
        await work_off(worker, 4)
    before = await account(served, run.run_id)
    assert sums(before)[:2] == (4, 10.0)
    await (killed(served) if is_killed else served.close())
    served = serve(settings)
    after = await account(served, run.run_id)
    assert sums(after) == sums(before)
    assert after.planned_s == before.planned_s > 0.0
    assert after.now_s >= before.now_s
    assert after.away_s >= 0.0
    async with ProtocolWorker(served.channel, "w2") as worker:
        await work_off(worker, 2)
    final = await account(served, run.run_id)
    assert sums(final)[:3] == (TILES, 21.0, 10.5)
    assert [slow.tile for slow in final.nodes[0].slowest] == [5, 4, 3, 2, 1]
    assert [(worker.worker_id, worker.received) for worker in final.traffic] == [
        ("w1", (("market", 400, 4),)),
        ("w2", (("market", 200, 2),)),
    ]
    assert (final.first_lease_s, final.away_s) == (before.first_lease_s, after.away_s)
    await served.close()
    served = serve(settings)
    assert await account(served, run.run_id) == final


async def test_what_was_not_stored_is_missing_and_counted_as_such(
    serve: Serve, settings: Settings, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(journal, "ACCOUNT_INTERVAL_S", 1e9)  # the first result is stored, then none for long
    served = serve(settings)
    run = await served.submit(TILES)
    async with ProtocolWorker(served.channel) as worker:
        await work_off(worker, 4)
    await killed(served)
    served = serve(settings)
    after = await account(served, run.run_id)
    assert sums(after)[:2] == (1, 1.0)
    response = await served.runs.GetRun(run_pb2.GetRunRequest(run_id=run.run_id))
    assert response.run.nodes[0].tiles_done == 4


async def test_an_account_that_cannot_be_read_stops_nothing(
    serve: Serve, settings: Settings, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(journal, "ACCOUNT_INTERVAL_S", 0.0)
    served = serve(settings)
    run = await served.submit(TILES)
    async with ProtocolWorker(served.channel) as worker:
        await work_off(worker, 4)
    served.scheduler._store._store._driver.execute("UPDATE run_note SET content = 'nothing' WHERE kind = 'account'")  # type: ignore[attr-defined]  # the store of this test
    await killed(served)
    served = serve(settings)
    assert sums(await account(served, run.run_id))[:2] == (0, 0.0)
