"""`xip_worker.settings`: what can be set, and what is refused."""

from __future__ import annotations

import pytest

from xip_worker.settings import core_count, parse_schedulers


def test_several_schedulers_are_tried_in_the_order_given() -> None:
    assert parse_schedulers("a:1, b.example:65535,[::1]:7780") == ("a:1", "b.example:65535", "[::1]:7780")


@pytest.mark.parametrize("text", ["", "host", ":7780", "host:", "host:0", "host:65536", "host:x", "a:1,", "host:-1"])
def test_an_address_without_host_or_port_is_refused(text: str) -> None:
    with pytest.raises(ValueError, match="a scheduler must be HOST:PORT with a port of 1 to 65535, got"):
        parse_schedulers(text)


def test_a_bare_ipv6_host_is_refused() -> None:
    with pytest.raises(ValueError, match="must stand in brackets"):
        parse_schedulers("::1:7780")


def test_slots_are_counted_from_the_cores_this_process_may_use() -> None:
    assert core_count() >= 1
