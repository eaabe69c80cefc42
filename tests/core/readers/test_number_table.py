"""CSV tables of numbers: columns by name, and the line that is at fault."""

from __future__ import annotations

import gzip
from pathlib import Path

import numpy as np
import pytest

from xip_core.errors import InputError
from xip_core.readers import number_table
from xip_core.readers.number_table import read_number_table


def written(tmp_path: Path, text: str, name: str = "table.csv") -> Path:
    path = tmp_path / name
    path.write_bytes(gzip.compress(text.encode()) if name.endswith(".gz") else text.encode())
    return path


@pytest.mark.parametrize("name", ["table.csv", "table.csv.gz"])
def test_columns_have_their_names_and_no_digit_is_lost(tmp_path: Path, name: str) -> None:
    columns = read_number_table(written(tmp_path, "spot, is_call\r\n0.1,1\r\n1e-300,0\r\n", name))
    assert list(columns) == ["spot", "is_call"]
    assert columns["spot"].tolist() == [0.1, 1e-300]
    assert all(values.dtype == np.float64 and values.flags.c_contiguous for values in columns.values())


def test_not_a_number_is_a_number_that_a_kernel_refuses(tmp_path: Path) -> None:
    assert np.isnan(read_number_table(written(tmp_path, "x\nnan\n1\n"))["x"][0])


@pytest.mark.parametrize(
    ("text", "sentence"),
    [
        ("", ":1: the first line must name each column once, got ''"),
        ("a,a\n1,2\n", ":1: the first line must name each column once"),
        ("a,\n1,2\n", ":1: the first line must name each column once"),
        ("a,b\n", ": a table must have at least one line of numbers, got none"),
        ("a,b\n1,2\n3,x\n", ":3: column b must be a number, got 'x'"),
        ("a,b\n1,2\n\n3\n", ":4: a line must have 2 numbers like the first one, got 1"),
        ("a,b\n1,2,3\n", ":2: a line must have 2 numbers like the first one, got 3"),
        ("a\n1\n\n", None),
    ],
)
def test_the_line_at_fault_is_named(tmp_path: Path, text: str, sentence: str | None) -> None:
    path = written(tmp_path, text)
    if sentence is None:
        assert read_number_table(path)["a"].tolist() == [1.0]
        return
    with pytest.raises(InputError) as caught:
        read_number_table(path)
    assert str(caught.value).startswith(f"{path}{sentence}")


def test_what_a_small_gz_unpacks_to_is_bounded(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(number_table, "TABLE_SIZE_BYTES_MAX", 1000)
    with pytest.raises(InputError, match="must have at most 1000 bytes"):
        read_number_table(written(tmp_path, "x\n" + "1\n" * 1000, "bomb.csv.gz"))


def test_a_file_that_cannot_be_read_is_one_sentence(tmp_path: Path) -> None:
    for path in (tmp_path / "none.csv", written(tmp_path, "x", "plain.csv")):
        if path.name == "plain.csv":
            path = path.rename(tmp_path / "plain.csv.gz")
        with pytest.raises(InputError, match="cannot be read"):
            read_number_table(path)
