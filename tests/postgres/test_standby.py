"""Two schedulers on one database, as processes: who answers, who takes over, who may write"""

from __future__ import annotations

import asyncio
import signal
from collections.abc import Iterator
from pathlib import Path

import grpc.aio
import pytest
from grpc_health.v1 import health_pb2, health_pb2_grpc

from tests.postgres.cluster import SILENCE_S, SchedulerDaemon, until_blocked, until_idle_in_transaction
from tests.postgres.server import PASSWORD, PrivateServer
from tests.scheduler.rpc.conftest import probe_request
from tests.scheduler.rpc.protocol_worker import ProtocolWorker, a_result
from tests.serving import OpenChannel
from xip_core.client import connect
from xip_core.wire.v1 import run_pb2, run_pb2_grpc
from xip_scheduler.store.postgres_session import DatabaseAddress

TILE_COUNT = 12
SILENCE_MAX_S = 60.0
"""The longest that may be set."""


class Pair:
    """A leader and one that stands by, and takes over from one that is silent for so long."""

    def __init__(self, address: DatabaseAddress, directory: Path, silence_s: float = SILENCE_S) -> None:
        self.address = address
        self.directory = directory
        self.silence_s = silence_s
        self.daemons: list[SchedulerDaemon] = []
        self.leader = self.start()
        self.term = self.leader.until_serving()
        self.standby = self.start()
        self.standby.wait_for_log("standing by")

    def start(self) -> SchedulerDaemon:
        data_dir = self.directory / f"{len(self.daemons)}"
        self.daemons.append(SchedulerDaemon(self.address, data_dir, silence_s=self.silence_s))
        return self.daemons[-1]

    def close(self) -> None:
        for daemon in self.daemons:
            daemon.process.send_signal(signal.SIGCONT)
            daemon.stop()


@pytest.fixture
def pair(database: DatabaseAddress, tmp_path: Path) -> Iterator[Pair]:
    pair = Pair(database, tmp_path)
    yield pair
    pair.close()


@pytest.fixture
def patient_pair(database: DatabaseAddress, tmp_path: Path) -> Iterator[Pair]:
    """Where a takeover without a goodbye takes a minute."""
    pair = Pair(database, tmp_path, silence_s=SILENCE_MAX_S)
    yield pair
    pair.close()


async def test_a_standby_refuses_calls_names_the_leader_and_leads_without_a_silence_after_a_goodbye(
    patient_pair: Pair, open_channel: OpenChannel
) -> None:
    pair = patient_pair
    standing_by = open_channel(pair.standby.address)
    with pytest.raises(grpc.aio.AioRpcError, match="stands by") as refused:
        await run_pb2_grpc.RunServiceStub(standing_by).SubmitRun(probe_request())
    assert refused.value.code() is grpc.StatusCode.UNAVAILABLE
    assert pair.leader.address in str(refused.value.details())
    health = health_pb2_grpc.HealthStub(standing_by)
    waiting = await health.Check(health_pb2.HealthCheckRequest())
    assert waiting.status == health_pb2.HealthCheckResponse.NOT_SERVING
    async with connect(f"{pair.standby.address},{pair.leader.address}") as client:
        assert await client.workers() == ()
        assert pair.leader.terminate() == 0
        assert pair.standby.until_serving(limit_s=SILENCE_MAX_S / 2) == pair.term + 1
        assert await client.workers() == (), "a client finds the new leader by itself"
    serving = await health.Check(health_pb2.HealthCheckRequest())
    assert serving.status == health_pb2.HealthCheckResponse.SERVING
    assert pair.standby.terminate() == 0
    lines = "\n".join(pair.leader.lines + pair.standby.lines)
    assert PASSWORD not in lines


async def test_a_leader_stopped_inside_a_transaction_writes_nothing_after_the_takeover_and_ends(
    pair: Pair, postgres: PrivateServer, open_channel: OpenChannel
) -> None:
    leader = open_channel(pair.leader.address)
    run_id = (await run_pb2_grpc.RunServiceStub(leader).SubmitRun(probe_request(TILE_COUNT))).run.run_id
    worker = await ProtocolWorker(leader, "old").attach()
    await worker.until_acknowledged(await worker.report(a_result(await worker.lease(), detail=True)))
    database_name = pair.address.url.rpartition("/")[2].partition("?")[0]
    with postgres.administrator(database_name) as lock:
        with lock.transaction():
            lock.execute("LOCK TABLE tile_record IN ACCESS EXCLUSIVE MODE")
            await worker.report(a_result(await worker.lease(), detail=True))
            await asyncio.to_thread(until_blocked, postgres, pair.term)
            pair.leader.process.send_signal(signal.SIGSTOP)
        until_idle_in_transaction(postgres, pair.term)
        term = await asyncio.to_thread(pair.standby.until_serving)
        assert term == pair.term + 1
        kept = lock.execute("SELECT count(*), sum(tile_end - tile_begin) FROM tile_record").fetchone()
        assert kept == (1, 1), "what was not committed before the takeover is gone"
        pair.leader.process.send_signal(signal.SIGCONT)
        assert await asyncio.to_thread(pair.leader.exit_code) == 1
        assert lock.execute("SELECT count(*), sum(tile_end - tile_begin) FROM tile_record").fetchone() == kept
    successor = open_channel(pair.standby.address)
    second = run_pb2_grpc.RunServiceStub(successor)
    async with ProtocolWorker(successor, "new") as fresh:
        await fresh.work_off(TILE_COUNT - 1, detail=True)
    assert (await second.GetRun(run_pb2.GetRunRequest(run_id=run_id))).run.state == run_pb2.RUN_STATE_COMPLETED
    blocks = [
        response.block async for response in second.StreamResults(run_pb2.StreamResultsRequest(run_id=run_id))
    ]
    assert sorted(blocks) == sorted(b"detail %d" % tile for tile in range(TILE_COUNT)), "each tile once"


async def test_a_killed_leader_is_replaced_with_all_it_acknowledged(
    pair: Pair, open_channel: OpenChannel
) -> None:
    """Its first life is younger than the silence, so the whole of it passes."""
    async with connect(f"{pair.leader.address},{pair.standby.address}") as client:
        (digest,) = await client.upload(b"a book")
        stub = run_pb2_grpc.RunServiceStub(open_channel(pair.leader.address))
        run_id = (await stub.SubmitRun(probe_request(TILE_COUNT))).run.run_id
        pair.leader.kill()
        run = await client.run(run_id)
        assert run.run_id == run_id
        assert await client.blob(digest) == b"a book", "blobs travel with the database"
    assert pair.standby.until_serving() == pair.term + 1
