"""xip_core.readers.ore_files"""

from __future__ import annotations

import gzip
from pathlib import Path

import pytest

from xip_core.errors import InputError
from xip_core.readers import ore_files
from xip_core.readers.ore_files import find_file, is_true, read_bytes, read_lines, read_xml


def test_file_is_found_plain_or_gzipped_here_or_under_config(tmp_path: Path):
    """Plain files win: they are what a person edits."""
    (tmp_path / "config").mkdir()
    packed = tmp_path / "config" / "a.xml.gz"
    packed.write_bytes(gzip.compress(b"<a/>"))
    assert find_file(tmp_path, "a.xml") == packed
    (tmp_path / "a.xml").write_bytes(b"<a/>")
    assert find_file(tmp_path, "a.xml") == tmp_path / "a.xml"
    assert read_bytes(packed) == b"<a/>"


def test_missing_file_names_the_directory_and_what_it_must_hold(tmp_path: Path):
    """All accepted names are told."""
    with pytest.raises(InputError, match=r"must hold a\.csv or b\.csv") as caught:
        find_file(tmp_path, "a.csv", "b.csv")
    assert caught.value.path == str(tmp_path)


def test_malformed_xml_says_path_and_line(tmp_path: Path):
    """The parser's own position."""
    path = tmp_path / "a.xml"
    path.write_text("<a>\n<b>\n</a>\n")
    with pytest.raises(InputError, match=r"a.xml:3: malformed XML") as caught:
        read_xml(path)
    assert (caught.value.path, caught.value.line) == (str(path), 3)


def test_entity_expansion_is_refused(tmp_path: Path):
    """A billion laughs ends at the first line of the joke."""
    path = tmp_path / "a.xml"
    path.write_text('<?xml version="1.0"?>\n<!DOCTYPE a [<!ENTITY b "bbb">]>\n<a>&b;</a>\n')
    with pytest.raises(InputError, match="must not declare document types or entities") as caught:
        read_xml(path)
    assert caught.value.line == 2


def test_broken_gzip_is_an_input_error(tmp_path: Path):
    """Half a download."""
    path = tmp_path / "a.csv.gz"
    path.write_bytes(gzip.compress(b"2016-02-05,A,1\n" * 100)[:-10])
    with pytest.raises(InputError, match=r"a.csv.gz: cannot be read"):
        read_bytes(path)


def test_file_larger_than_the_limit_is_refused(tmp_path: Path, monkeypatch: pytest.MonkeyPatch):
    """The limit is on what comes out of the archive, not on the archive."""
    monkeypatch.setattr(ore_files, "FILE_SIZE_BYTES_MAX", 1000)
    path = tmp_path / "a.csv.gz"
    path.write_bytes(gzip.compress(b"0" * 1001))
    with pytest.raises(InputError, match="must have at most 1000 bytes"):
        read_bytes(path)


def test_lines_keep_their_numbers_without_comments(tmp_path: Path):
    """So that errors point into the file."""
    path = tmp_path / "a.csv"
    path.write_text("# head\n\n one \ntwo\n")
    assert list(read_lines(path)) == [(3, "one"), (4, "two")]


def test_truth_has_many_spellings():
    """ORE files mix them."""
    assert [is_true(text) for text in ("Y", "yes", "TRUE", "1", "N", "", "false")] == [True] * 4 + [False] * 3
