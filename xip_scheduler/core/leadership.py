"""Who leads: when a waiting scheduler may take over from one that fell silent. Pure: observations in, advice out.

Several schedulers look at one row of a database they share:

    term       grows by one with every takeover; the fence of every write (`store.postgres`)
    beat       grows by one with every renewal of the leader, from 0 at its takeover
    released   the leader said goodbye

    waiting ──silent for `silence_s`, released, or gone──▶ claim ──row still as observed──▶ leading
       ▲                                                     └──row has changed──▶ waiting
       └────────────── its process ends, restarts ◀── superseded: the row has a larger term

Whoever waits measures silence on a monotonic clock of its own, from the moment it saw the row change; no clock is ever
compared with another's, so wrong clocks cost time, never correctness (S18): a claim is a compare-and-swap on
(term, beat), and a leader that was replaced is refused at its next commit, whatever it believes.

Silence is what was listened to: who could not look for `silence_s`, because the database was away or it stood still
itself, begins anew, for the leader may have had no way to renew either.

A leader whose database sessions have all ended is most likely dead, and is given only `gone_s`. Two nodes that reach
the database half of the time must not take over from one another in turns (L4: at most one takeover in each
`silence_s`). So the hint counts only against a leader that has renewed for at least `silence_s`: its beat tells, and an
observer that has just started knows it too. Any other takeover waits for `silence_s` of silence, which begins after the
last takeover. A goodbye is not a failure and is answered at once.
"""

from __future__ import annotations

import msgspec


class LeaderTimes(msgspec.Struct, frozen=True):
    """
    Attributes:
        silence_s: a leader that does not renew for so long is replaced.
        gone_s: the same for one without a session at the database.
        renewal_s: between two renewals, and between two looks of those who wait.
    """

    silence_s: float = 5.0
    gone_s: float = 0.75
    renewal_s: float = 0.25

    @property
    def settled_beat(self) -> int:
        """Beat of a leader that has led for `silence_s`."""
        return int(self.silence_s / self.renewal_s)


class Observation(msgspec.Struct, frozen=True):
    """What a look at the row shows.

    Attributes:
        has_session: the leader's process is connected to the database.
        holder: address of the leader, for people.
    """

    term: int
    beat: int
    is_released: bool
    has_session: bool
    holder: str


class Candidate:
    """One that waits. Tell it every look; it says when to claim."""

    def __init__(self, times: LeaderTimes) -> None:
        self._times = times
        self._last: Observation | None = None
        self._changed_s = 0.0
        self._seen_s = 0.0
        self._looked_s = 0.0

    def observe(self, observation: Observation, now_s: float) -> bool:
        """
        Whether the leader may be replaced now.

        Args:
            now_s: monotonic seconds of this process at the time of the look.
        """
        last = self._last
        has_looked_away = now_s - self._looked_s >= self._times.silence_s
        self._looked_s = now_s
        if last is None or has_looked_away or (observation.term, observation.beat) != (last.term, last.beat):
            self._changed_s = self._seen_s = now_s
        elif observation.has_session:
            self._seen_s = now_s
        self._last = observation
        if observation.is_released:
            return True
        if now_s - self._changed_s >= self._times.silence_s:
            return True
        is_settled = observation.beat >= self._times.settled_beat
        return is_settled and now_s - self._seen_s >= self._times.gone_s
