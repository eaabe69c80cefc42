"""Clients: calls repeated until they are answered, and what an answer must mean.

A call whose reply is lost, that times out or whose scheduler dies has an unknown outcome and is made again, at the next
address (S7). What a client gives up may still be carried out.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Coroutine
from typing import TYPE_CHECKING, Any

from tests.simulation.workload import Request, retry_of
from xip_core.errors import OverloadedError, RequestError, UnavailableError

if TYPE_CHECKING:
    from tests.simulation.scheduler_node import SchedulerNode
    from tests.simulation.world import World

REPLY_TIMEOUT_S = 5.0
CANCELLED_SHARE = 0.5
"""Of the calls given up that are not carried out for that."""


class ForgottenError(Exception):
    """The store has forgotten what this client saw; whoever still wants something begins anew."""


class Clients:
    """
    Attributes:
        wanted: run ids that must become final: those submitted, and the retries that were accepted.
        replies_to_lose: so many of the next replies do not arrive.
    """

    def __init__(self, world: World) -> None:
        self.world = world
        self.tasks: set[asyncio.Task[None]] = set()
        self.wanted: dict[str, None] = {}
        self.replies_to_lose = 0
        self._found_paused: set[str] = set()

    def spawn(self, coroutine: Coroutine[Any, Any, None]) -> None:
        task = self.world.loop.create_task(coroutine)
        self.tasks.add(task)

        def done(task: asyncio.Task[None]) -> None:
            self.tasks.discard(task)
            if task.cancelled() or isinstance(task.exception(), ForgottenError):
                return
            if (error := task.exception()) is not None:
                raise error

        task.add_done_callback(done)

    async def call(self, ask: Callable[[SchedulerNode], Coroutine[Any, Any, Any]]) -> tuple[Any]:
        """
        A call repeated until it is answered, in a 1-tuple; a refusal is an answer, "come again" is none.

        Raises:
            ForgottenError: a backup was put back meanwhile: what was said before has not happened.
        """
        world = self.world
        era = world.ghost.era
        turn = world.chance.randrange(len(world.seats))
        while True:
            await world.loop.passed(0.002)
            seat = world.seat(turn)
            node = seat.node
            turn += 1
            pause_s = 0.1 + 0.4 * world.chance.random()
            if node is not None and seat.is_reachable() and not node.is_ending:
                answer = node.process.create_task(ask(node))
                await asyncio.wait({answer}, timeout=REPLY_TIMEOUT_S)
                if answer.done() and node.is_alive:
                    if self.replies_to_lose:
                        self.replies_to_lose -= 1
                        world.probe("reply lost")
                    elif isinstance(error := answer.exception(), OverloadedError):
                        world.probe("submission shed")
                        pause_s = error.retry_after_s * (0.5 + world.chance.random())
                    elif not isinstance(error, UnavailableError):
                        return (answer.result() if error is None else error,)
                if world.chance.random() < CANCELLED_SHARE:
                    answer.cancel()
            await world.loop.passed(pause_s)
            if world.ghost.era != era:
                raise ForgottenError

    async def submit(self, request: Request) -> None:
        ghost = self.world.ghost
        self.wanted[request.run_id] = None
        (run_id,) = await self.call(lambda node: node.runs.submit(request, request.payload_hash))
        if isinstance(run_id, RequestError):
            self._refused(request, run_id)
            return
        ghost.demand(run_id is not None, "S6", f"{request.request_id} with the same content is refused")
        named = self.world.requests.get(request.since)
        is_own = named is None or named.tenant == request.tenant
        ghost.demand(is_own, "S13", f"{request.run_id} of {request.tenant} may begin with {request.since}")
        ghost.acknowledged_submit(request, run_id)

    def _refused(self, request: Request, error: RequestError) -> None:
        """The run that it names cannot be begun with; nobody learns whether a stranger's is there (S13)."""
        ghost, run_id = self.world.ghost, request.run_id
        self.world.probe(f"submission refused: {error.reason}")
        ghost.demand(error.reason == "BAD_SINCE" and bool(request.since), "S6", f"{run_id} is refused: {error}")
        ghost.demand(run_id not in ghost.runs, "S6", f"{run_id} is refused ({error}) and stored")
        self.wanted.pop(run_id, None)

    async def submit_other(self, request: Request) -> None:
        (run_id,) = await self.call(lambda node: node.runs.submit(request, "other"))
        self.world.ghost.demand(run_id is None, "S6", f"{request.request_id} with other content became {run_id}")

    async def cancel(self, request: Request) -> None:
        ghost = self.world.ghost
        (is_known,) = await self.call(lambda node: node.runs.cancel(request.run_id))
        if is_known:
            ghost.acknowledged_cancel(request.run_id)
        else:
            known = request.run_id in ghost.acknowledged_runs
            ghost.demand(not known, "S5", f"{request.run_id} was acknowledged and is unknown")

    async def pause(self, request: Request) -> None:
        """Nobody leaves a run paused after the heal."""
        await self.call(lambda node: node.runs.pause(request.run_id))
        if self.world.is_healed:
            await self.resume(request)

    async def resume(self, request: Request) -> None:
        await self.call(lambda node: node.runs.resume(request.run_id))

    def find_paused(self) -> None:
        """A pause whose caller gave it up may be carried out after the resume: somebody sees it, and resumes again."""
        ghost = self.world.ghost
        for run_id in sorted(ghost.paused - ghost.final.keys() - self._found_paused):
            self._found_paused.add(run_id)
            self.world.probe("paused after the resume")
            self.spawn(self._resume_found(run_id))

    async def _resume_found(self, run_id: str) -> None:
        await self.resume(self.world.requests[run_id])
        self._found_paused.discard(run_id)

    async def retry(self, old: Request) -> None:
        """Compute what a final run lacks, as a new run; refused where that is nothing."""
        world = self.world
        new = retry_of(old, world.chance)
        known = world.requests.setdefault(new.run_id, new)
        (answer,) = await self.call(lambda node: node.runs.retry(old, known))
        if isinstance(answer, RequestError):
            world.probe(f"retry refused: {answer.reason}")
            stored = known.run_id in world.ghost.runs
            world.ghost.demand(not stored, "S6", f"{known.run_id} is refused ({answer}) and stored")
        elif isinstance(answer, Exception):
            raise answer
        else:
            world.probe("retry accepted")
            self.wanted[known.run_id] = None
            world.ghost.acknowledged_submit(known, answer)
