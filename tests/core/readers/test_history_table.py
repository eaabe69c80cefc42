"""xip_core.readers.history_table and factor_table"""

from __future__ import annotations

import datetime as dt
import gzip
from pathlib import Path

import numpy as np
import pytest

from xip_core.errors import InputError, RequestError
from xip_core.readers.factor_table import read_correlation, read_factors
from xip_core.readers.history_table import read_history
from xip_core.scenarios.draws import Factor

FACTORS = (
    "name,target,quotes,kind,volatility,mean,until\n"
    "oil,commodity,OIL,log,0.4,,\n"
    "eur,currency,EUR,absolute,0.01,0.001,5Y\n"
)


def written(folder: Path, text: str, name: str = "table.csv") -> Path:
    path = folder / name
    path.write_bytes(gzip.compress(text.encode()) if name.endswith(".gz") else text.encode())
    return path


@pytest.mark.parametrize("name", ["table.csv", "table.csv.gz"])
def test_history_has_dates_names_and_numbers(tmp_path, name):
    """Comments are let pass, absent numbers are NaN."""
    text = '# closes\ndate, OIL,"A,B"\n2024-01-08,50,1e-3\n2024-01-09,n/a,\n'
    history = read_history(written(tmp_path, text, name))
    assert history.dates == (dt.date(2024, 1, 8), dt.date(2024, 1, 9))
    assert history.names == ("OIL", "A,B")
    assert np.array_equal(history.values, [[50.0, 0.001], [np.nan, np.nan]], equal_nan=True)


@pytest.mark.parametrize(
    ("text", "message", "line"),
    [
        ("", "the first line must be date and names of quotes", 1),
        ("day,OIL\n2024-01-08,1\n", "the first line must be date and names of quotes", 1),
        ("date,OIL\n", "a history must have a line of numbers", None),
        ("date,OIL\n2024-01-08,1,2\n", "a line must have 2 cells like the first, got 3", 2),
        ("date,OIL\n08/01/2024,1\n", "a date must look like 2024-01-31, got '08/01/2024'", 2),
        ("date,OIL\n2024-01-08,1\n2024-01-09,abc\n", "OIL must be a number, got 'abc'", 3),
        ("date,OIL\n2024-01-08,inf\n", "OIL must be finite, got 'inf'", 2),
    ],
)
def test_history_that_cannot_be_read_is_refused_with_its_line(tmp_path, text, message, line):
    """So it can be mended."""
    with pytest.raises(InputError, match=message) as caught:
        read_history(written(tmp_path, text))
    assert caught.value.line == line


def test_history_that_goes_back_in_time_is_refused(tmp_path):
    """By its dates."""
    with pytest.raises(RequestError, match="dates of a history must ascend, got 2024-01-08 after 2024-01-09"):
        read_history(written(tmp_path, "date,OIL\n2024-01-09,1\n2024-01-08,2\n"))


def test_factors_are_read_with_their_defaults(tmp_path):
    """An empty cell is a field that is not given."""
    assert read_factors(written(tmp_path, FACTORS)) == (
        Factor("oil", "commodity", "OIL", "log", 0.4),
        Factor("eur", "currency", "EUR", "absolute", 0.01, mean=0.001, until="5Y"),
    )


def test_correlation_is_in_the_order_of_the_factors(tmp_path):
    """Whatever the order in the file."""
    factors = read_factors(written(tmp_path, FACTORS))
    path = written(tmp_path, "x,eur,oil\noil,0.25,1\neur,1,0.5\n", "correlation.csv")
    assert read_correlation(path, factors).tolist() == [[1.0, 0.25], [0.5, 1.0]]


@pytest.mark.parametrize(
    ("text", "message", "line"),
    [
        ("name,target\noil,commodity\n", "the first line must be of name,target,quotes,kind,volatility", 1),
        (FACTORS.replace("until", "colour"), "the first line must be of", 1),
        (FACTORS.replace("0.4", "much"), "Expected `float`", 2),
        (FACTORS.replace("log", "cubic"), "Invalid enum value 'cubic'", 2),
        (FACTORS.split("\n")[0], "must have a factor, got none", None),
        (FACTORS + "x,y\n", "a line must have 7 cells like the first, got 2", 4),
        ("", "must have a first line", None),
    ],
)
def test_factors_that_cannot_be_read_are_refused_with_their_line(tmp_path, text, message, line):
    """So they can be mended."""
    with pytest.raises(InputError, match=message) as caught:
        read_factors(written(tmp_path, text))
    assert caught.value.line == line


@pytest.mark.parametrize(
    ("text", "message", "line"),
    [
        (",oil,gas\noil,1,0\ngas,0,1\n", "lines and columns must be named oil, eur", 1),
        (",oil,eur\noil,1,0\n", "lines and columns must be named oil, eur", 1),
        (",oil,eur\noil,1,zero\neur,0,1\n", "oil, eur must be a number, got 'zero'", 2),
    ],
)
def test_correlation_that_cannot_be_read_is_refused_with_its_line(tmp_path, text, message, line):
    """So it can be mended."""
    factors = read_factors(written(tmp_path, FACTORS))
    with pytest.raises(InputError, match=message) as caught:
        read_correlation(written(tmp_path, text, "correlation.csv"), factors)
    assert caught.value.line == line
