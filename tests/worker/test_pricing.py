"""`xip_worker.pricing`: the road to pricing."""

from __future__ import annotations

import subprocess
import sys

from tests.worker.builders import a_plan
from xip_core.graph.plan import NodeKind
from xip_core.pricing.tile import Columns
from xip_worker.pricing import PricingEvaluator


class NoData:
    """For tiles that read nothing."""

    def blob(self, digest: str) -> bytes:
        raise AssertionError(digest)

    def output(self, node_id: int, tile: int) -> Columns:
        raise AssertionError((node_id, tile))

    def memo(self, key: tuple[object, ...], make: object) -> object:
        raise AssertionError(key)


def test_tiles_are_evaluated_by_pricing() -> None:
    plan = a_plan(NodeKind.PROBE, "probe.noop")
    value = PricingEvaluator().evaluate_tile(plan, 1, 0, NoData(), lambda: False)
    assert (value.cell_count, value.output, value.detail) == (1, {}, {})


def test_warming_up_imports_pricing_and_the_calendars() -> None:
    program = (
        "import sys; from xip_worker.pricing import PricingEvaluator; PricingEvaluator().warm_up();"
        "from xip_core.model import calendars;"
        "imported = {'xip_core.pricing.value_tile', 'xip_core.pricing.resolve', 'holidays'} <= set(sys.modules);"
        "print(imported, calendars._holidays_of.cache_info().currsize == len(calendars._LISTS))"
    )
    printed = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, timeout=60, check=True)
    assert printed.stdout.strip() == "True True"
