"""xip_core.readers.crif_buckets: a desk's places from CSV and JSON; what is refused, with its line."""

from __future__ import annotations

import gzip
from pathlib import Path

import pytest

from xip_core.errors import InputError
from xip_core.model.crif import CrifBucket
from xip_core.readers.crif_buckets import read_crif_buckets

TABLE = """# from reference data
name,risk_type,bucket,label2,qualifier
BANK,Risk_CreditQ,2,,ISIN:XS0000000001
POOL,Risk_CreditNonQ,1,CMBX
ACME,Risk_Equity,Residual
LENDING,Risk_IRCurve,,OIS
"""
LIST = """[{"name": "BANK", "risk_type": "Risk_CreditQ", "bucket": "2", "qualifier": "ISIN:XS0000000001"},
 {"name": "POOL", "risk_type": "Risk_CreditNonQ", "bucket": "1", "label2": "CMBX"},
 {"name": "ACME", "risk_type": "Risk_Equity", "bucket": "Residual"},
 {"name": "LENDING", "risk_type": "Risk_IRCurve", "label2": "OIS"}]
"""


def written(folder: Path, text: str, name: str = "buckets.csv") -> Path:
    path = folder / name
    path.write_bytes(gzip.compress(text.encode()) if name.endswith(".gz") else text.encode())
    return path


@pytest.mark.parametrize(("text", "name"), [(TABLE, "b.csv"), (TABLE, "b.csv.gz"), (LIST, "b.json")])
def test_places_are_found_by_market_object(tmp_path: Path, text: str, name: str) -> None:
    found = read_crif_buckets(written(tmp_path, text, name))
    assert list(found) == ["hazard/BANK", "hazard/POOL", "equity/ACME", "curve/LENDING"]
    qualified = CrifBucket(name="BANK", risk_type="Risk_CreditQ", bucket="2", qualifier="ISIN:XS0000000001")
    assert found["hazard/BANK"] == qualified
    assert found["hazard/POOL"].label2 == "CMBX"


@pytest.mark.parametrize(
    ("text", "sentence"),
    [
        ("", "must have a first line, got none"),
        (
            "name,bucket\nBANK,2\n",
            ":1: the first line must be of name,risk_type,bucket,label2,qualifier, got name,buck",
        ),
        ("name,risk_type,bucket\nBANK,Risk_CreditQ,2,x\n", ":2: a line must have 3 cells like the first, got 4"),
        ("name,risk_type,bucket\nBANK,Risk_CreditVol,2\n", ":2: Invalid enum value 'Risk_CreditVol'"),
        ("name,risk_type,bucket\nBANK,Risk_CreditQ,13\n", ":2: bucket of BANK must be 1, 2,"),
        ("name,risk_type,bucket\nOIL,Risk_Commodity,Residual\n", "for Risk_Commodity, got 'Residual'"),
        ("name,risk_type,bucket,label2\nEUR,Risk_IRCurve,,Libor1y\n", "label2 of EUR must be one of 'OIS', 'Libor1m'"),
        (
            "name,risk_type,bucket\nBANK,Risk_CreditQ,1\nBANK,Risk_CreditNonQ,2\n",
            "hazard/BANK must have one place, got Risk_CreditQ 1 and Risk_CreditNonQ 2",
        ),
    ],
)
def test_a_place_that_simm_does_not_have_is_refused_with_its_line(tmp_path: Path, text: str, sentence: str) -> None:
    with pytest.raises(InputError) as caught:
        read_crif_buckets(written(tmp_path, text))
    assert sentence in str(caught.value)


@pytest.mark.parametrize("text", ['[{"name": "BANK"}]', "[1]", "{", '[{"name": "B", "risk_type": "Risk_FX"}]'])
def test_json_that_is_no_list_of_places_is_refused(tmp_path: Path, text: str) -> None:
    with pytest.raises(InputError, match=r"b\.json"):
        read_crif_buckets(written(tmp_path, text, "b.json"))
