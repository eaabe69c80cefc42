"""xip_core.readers.client_table"""

from __future__ import annotations

import gzip
from pathlib import Path

import numpy as np
import pytest

from tests.core.risk.some_clients import clients
from xip_core.errors import InputError
from xip_core.readers.client_table import read_clients, write_clients

PROFILES = ("cautious", "bold")
INSTRUMENTS = tuple(f"I{number}" for number in range(50))
HEADER = "client,profile,knowledge,horizon_years,cash,net_worth,instrument,quantity\n"
FIRST = "A,bold,2,5,100.5,,I3,2\n"


def written(folder: Path, text: str) -> Path:
    path = folder / "clients.csv"
    path.write_text(text)
    return path


@pytest.mark.parametrize("name", ["clients.csv", "clients.csv.gz"])
def test_clients_come_back_as_they_were_written(tmp_path: Path, name: str) -> None:
    table, path = clients(), tmp_path / name
    content = write_clients(table, PROFILES, INSTRUMENTS)
    path.write_bytes(gzip.compress(content) if name.endswith(".gz") else content)
    again = read_clients(path, PROFILES, INSTRUMENTS)
    for field in table.__struct_fields__:
        assert np.array_equal(getattr(again, field), getattr(table, field)), field


def test_further_lines_repeat_or_leave_empty_and_nobody_must_hold_anything(tmp_path: Path) -> None:
    text = HEADER + FIRST + "A,,,,,,I4,-1\nA,bold,,5,,,I3,7\nB,cautious,0,1,0,9,,\n"
    table = read_clients(written(tmp_path, text), PROFILES, INSTRUMENTS)
    assert table.ids == b"A\nB"
    assert (table.begin.tolist(), table.instrument.tolist()) == ([0, 3, 3], [3, 4, 3])
    assert (table.quantity.tolist(), table.cash.tolist()) == ([2.0, -1.0, 7.0], [100.5, 0.0])
    assert (table.profile.tolist(), table.knowledge.tolist(), table.net_worth.tolist()) == ([1, 0], [2, 0], [0.0, 9.0])


@pytest.mark.parametrize(
    ("text", "line", "what"),
    [
        ("client,profile\n", 1, "the first line must be client,profile,knowledge"),
        (HEADER + "A,bold,2,5\n", 2, "must have 8 cells, got 4"),
        (HEADER + FIRST + "A,,,,,,I99,1\n", 3, "one of the 50 given, got 'I99'"),
        (HEADER + FIRST + "A,,,6,,,I4,1\n", 3, "must be described as in its first line"),
        (HEADER + FIRST + "B,bold,2,5,0,,I1,1\n" + FIRST, 4, "must be together, 'A' began in line 2"),
        (HEADER + FIRST.replace("bold", "wild"), 2, "one of cautious, bold, got 'wild'"),
        (HEADER + FIRST.replace(",2,", ",-2,", 1), 2, "knowledge must be a class"),
        (HEADER + FIRST.replace("100.5", "much"), 2, "cash must be a number, got 'much'"),
        (HEADER + FIRST.replace("I3,2", "I3,"), 2, "quantity must be a number, got ''"),
        (HEADER + FIRST.replace("A,", ",", 1), 2, "must have a name"),
    ],
)
def test_a_fault_is_named_with_its_line(tmp_path: Path, text: str, line: int, what: str) -> None:
    with pytest.raises(InputError, match=what) as refused:
        read_clients(written(tmp_path, text), PROFILES, INSTRUMENTS)
    assert refused.value.line == line


def test_no_client_and_no_file_are_refused(tmp_path: Path) -> None:
    with pytest.raises(InputError, match="at least one client"):
        read_clients(written(tmp_path, HEADER), PROFILES, INSTRUMENTS)
    with pytest.raises(InputError, match="cannot be read"):
        read_clients(tmp_path / "none.csv", PROFILES, INSTRUMENTS)
    (tmp_path / "bad.csv.gz").write_bytes(b"no gzip")
    with pytest.raises(InputError, match="cannot be read"):
        read_clients(tmp_path / "bad.csv.gz", PROFILES, INSTRUMENTS)
