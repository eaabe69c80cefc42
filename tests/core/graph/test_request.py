"""xip_core.graph.request: what is refused before a blob is read."""

from __future__ import annotations

import math

import msgspec
import pytest

from xip_core.errors import RequestError
from xip_core.graph.plan import NodeKind
from xip_core.graph.planner import plan_run
from xip_core.graph.request import canonical_measures
from xip_core.model.run_spec import ProbeWork, RunSpec

from .builders import Blobs, a_request


def no_blob(digest: str) -> bytes:
    raise AssertionError(f"blob {digest} was read")


def refusal_of(spec: RunSpec) -> RequestError:
    with pytest.raises(RequestError) as refused:
        plan_run(spec, no_blob)
    return refused.value


def a_probe(**changes: object) -> RunSpec:
    work = ProbeWork(kernel="probe.spin", tile_count=10, tile_duration_s=0.001)
    return RunSpec(name="probe", work=msgspec.structs.replace(work, **changes))


@pytest.mark.parametrize(
    ("change", "reason", "words"),
    [
        ({"kernel": "probe.spim"}, "UNKNOWN_KERNEL", "probe.noop, probe.spin, got 'probe.spim'"),
        ({"tile_count": 0}, "BAD_TILE_COUNT", "got 0"),
        ({"tile_count": 10**12}, "BAD_TILE_COUNT", "1 to 1000000000"),
        ({"tile_duration_s": -1.0}, "BAD_TILE_DURATION", "got -1.0"),
        ({"tile_duration_s": math.nan}, "BAD_TILE_DURATION", "got nan"),
        ({"tile_duration_s": 3600.0}, "BAD_TILE_DURATION", "0 to 60"),
        ({"kernel": "probe.noop"}, "BAD_TILE_DURATION", "must be 0 for probe.noop"),
        ({"tiles_per_lease": 10**9}, "BAD_LEASE_SIZE", "got 1000000000"),
    ],
)
def test_a_probe_that_makes_no_sense_is_refused(change, reason, words):
    refused = refusal_of(a_probe(**change))
    assert refused.reason == reason
    assert words in str(refused)


def test_a_probe_becomes_one_node_of_as_many_tiles():
    plan = plan_run(a_probe(tile_count=10_000_000, tiles_per_lease=100), no_blob)
    (node,) = plan.nodes
    assert (node.kind, node.kernel, node.tile_count) == (NodeKind.PROBE, "probe.spin", 10_000_000)
    assert (node.cost_s, node.tiles_per_lease) == (0.001, 100)
    assert (plan.cell_count, plan.tile_duration_s) == (10_000_000, 0.001)


@pytest.mark.parametrize(
    ("change", "reason", "words"),
    [
        ({"measures": ()}, "NO_MEASURE", "pv, delta, vega, dv01, gamma, theta"),
        ({"measures": ("pv", "gama")}, "UNKNOWN_MEASURE", "one of pv, delta, vega, dv01, gamma, theta, got 'gama'"),
        ({"as_of": ""}, "AS_OF_MISSING", "2016-02-05"),
        ({"as_of": "5 Feb"}, "BAD_AS_OF", "got '5 Feb'"),
        ({"market_digest": ""}, "BLOB_MISSING", "market_digest"),
    ],
)
def test_risk_work_that_no_blob_could_make_right_is_refused(change, reason, words):
    refused = refusal_of(a_request(Blobs(), **change))
    assert refused.reason == reason
    assert words in str(refused)


def test_measures_come_once_in_one_order_and_with_pv():
    assert canonical_measures(("vega", "delta", "vega")) == ("pv", "delta", "vega")
