"""`xip_core.pricing.curves_terms`: terms added up by exponent, and the cells of a system."""

from __future__ import annotations

from hypothesis import given
from hypothesis import strategies as st

from xip_core.pricing.curves_terms import Exponents, Term, TermList, cells_of
from xip_core.pricing.layout import Refs

EXPONENTS: tuple[Refs, ...] = ((), ((0, 1.0),), ((0, 1.0), (3, -0.5)), ((2, 0.25),))

written = st.lists(
    st.tuples(st.sampled_from([1.0, -1.0, 0.1, 0.2]), st.sampled_from(EXPONENTS), st.booleans()), max_size=12
)


def listed(rows: list[list[tuple[float, Refs, bool]]]) -> list[TermList]:
    exponents = Exponents()
    lists = [TermList(exponents) for _ in rows]
    for one, terms in zip(lists, rows, strict=True):
        for amount, exponent, is_quoted in terms:
            one.add(amount, exponents.number(exponent), is_quoted)
    return lists


@given(rows=st.lists(written, min_size=1, max_size=4))
def test_terms_of_one_exponent_are_added_in_their_order_and_what_cancels_is_left_out(
    rows: list[list[tuple[float, Refs, bool]]],
) -> None:
    for one, terms in zip(listed(rows), rows, strict=True):
        sums: dict[tuple[Refs, bool], float] = {}
        for amount, exponent, is_quoted in terms:
            sums[exponent, is_quoted] = sums.get((exponent, is_quoted), 0.0) + amount
        assert one.terms() == [Term(amount, *key) for key, amount in sums.items() if amount != 0.0]


@given(rows=st.lists(written, min_size=1, max_size=4))
def test_cells_hold_both_amounts_of_an_instrument_and_exponent_in_the_order_of_use(
    rows: list[list[tuple[float, Refs, bool]]],
) -> None:
    lists = listed(rows)
    cells = cells_of(lists)
    used: dict[Refs, int] = {}
    wanted: dict[tuple[int, int], list[float]] = {}
    for row, one in enumerate(lists):
        for term in one.terms():
            source = used.setdefault(term.exponent, len(used))
            wanted.setdefault((row, source), [0.0, 0.0])[term.is_quoted] = term.amount
    assert cells.exponents == list(used)
    assert list(zip(cells.rows.tolist(), cells.sources.tolist(), strict=True)) == list(wanted)
    amounts = zip(cells.plain.tolist(), cells.quoted.tolist(), strict=True)
    assert [list(pair) for pair in amounts] == list(wanted.values())


def test_differences_are_two_terms_each() -> None:
    exponents = Exponents()
    first, second, third = (exponents.number(exponent) for exponent in EXPONENTS[:3])
    one, other = TermList(exponents), TermList(exponents)
    one.add_differences(-1.0, [(first, second), (third, second)])
    for amount, number in ((-1.0, first), (1.0, second), (-1.0, third), (1.0, second)):
        other.add(amount, number)
    terms = [Term(-1.0, (), False), Term(2.0, EXPONENTS[1], False), Term(-1.0, EXPONENTS[2], False)]
    assert one.terms() == other.terms() == terms
