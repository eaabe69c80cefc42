"""Rights on several days in the row program: their records and their columns.

Columns of B such rights with E exercises, N bonds of their swaptions and L flows, see `BermudanItem`::

    bermudan_row i4, bermudan_amount f8 (B)
    bermudan_exercise_ptr, bermudan_flow_ptr i4 (B + 1), bermudan_bond_ptr i4 (E + 1)
    exercise_time, exercise_strike f8, exercise_kind u1 (E); annuity, a term list over exercises; exercise_volatility_..
    bond_level f8 (N); bond_value, a term list over bonds
    flow_amount, flow_level, flow_square f8, flow_part, flow_known i4 (L); flow_value_..
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from itertools import chain
from typing import TYPE_CHECKING

import msgspec
import numpy as np

from xip_core.pricing.tile import Columns

if TYPE_CHECKING:
    from xip_core.pricing.program import PointArrays, Term, Uses


class BermudanFlow(msgspec.Struct, frozen=True):
    """Part of a coupon: amount * exp(value), which under the model at time t is worth that times
    exp(-level * x - square * zeta(t) / 2); part of the swap up to exercise *part_until*, its rate known only after
    exercise *known_until*."""

    amount: float
    value: Uses
    level: float
    square: float
    part_until: int
    known_until: int


class BermudanBond(msgspec.Struct, frozen=True):
    """What a swaption's swap pays on one day, as a term list, and the model's H of that day."""

    value: list[Term]
    level: float


class BermudanSwaptionItem(msgspec.Struct, frozen=True):
    """The swaption that fits the model up to one exercise; *bonds* from the start of its swap to the end."""

    time_years: float
    strike: float
    kind: int
    volatility: Uses
    annuity: list[Term]
    bonds: list[BermudanBond]


class BermudanItem(msgspec.Struct, frozen=True):
    """A right on several days (pricing.bermudan): one swaption an exercise, and the flows of the swap."""

    amount: float
    swaptions: list[BermudanSwaptionItem]
    flows: list[BermudanFlow]

    def uses(self) -> Iterator[int]:
        """Every use of a point."""
        for flow in self.flows:
            yield from flow.value
        for swaption in self.swaptions:
            yield from swaption.volatility
            for term in chain(swaption.annuity, *(bond.value for bond in swaption.bonds)):
                yield from term.exponent


def bermudan_columns(rows: Sequence[tuple[int, BermudanItem]], points: PointArrays) -> Columns:
    """Columns of rights on several days, each with its row; without any there is nothing but `bermudan_row`."""
    from xip_core.pricing.program import TermWriter, sparse_columns  # which imports this module

    items = [item for _, item in rows]
    columns: Columns = {"bermudan_row": np.array([row for row, _ in rows], dtype=np.int32)}
    if not items:
        return columns
    swaptions = [swaption for item in items for swaption in item.swaptions]
    bonds = [bond for swaption in swaptions for bond in swaption.bonds]
    flows = [flow for item in items for flow in item.flows]
    annuity, bond_values = TermWriter(), TermWriter()
    for swaption in swaptions:
        annuity.add_item(swaption.annuity)
    for bond in bonds:
        bond_values.add_item(bond.value)
    for name, sizes in (
        ("exercise", [len(item.swaptions) for item in items]),
        ("bond", [len(swaption.bonds) for swaption in swaptions]),
        ("flow", [len(item.flows) for item in items]),
    ):
        columns[f"bermudan_{name}_ptr"] = np.concatenate(([0], np.cumsum(sizes))).astype(np.int32)
    for name, values in (
        ("bermudan_amount", [item.amount for item in items]),
        ("exercise_time", [swaption.time_years for swaption in swaptions]),
        ("exercise_strike", [swaption.strike for swaption in swaptions]),
        ("bond_level", [bond.level for bond in bonds]),
        ("flow_amount", [flow.amount for flow in flows]),
        ("flow_level", [flow.level for flow in flows]),
        ("flow_square", [flow.square for flow in flows]),
    ):
        columns[name] = np.array(values, dtype=np.float64)
    columns["exercise_kind"] = np.array([swaption.kind for swaption in swaptions], dtype=np.uint8)
    for name, numbers in (("part", [f.part_until for f in flows]), ("known", [f.known_until for f in flows])):
        columns[f"flow_{name}"] = np.array(numbers, dtype=np.int32)
    columns |= annuity.columns("annuity", points) | bond_values.columns("bond_value", points)
    columns |= sparse_columns("exercise_volatility", points.flatten([s.volatility for s in swaptions]))
    return columns | sparse_columns("flow_value", points.flatten([flow.value for flow in flows]))
