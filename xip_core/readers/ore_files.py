"""Files of an ORE directory: found plain or gzipped, XML parsed without entities, errors with path and line."""

from __future__ import annotations

import gzip
import zlib
from collections.abc import Iterator
from pathlib import Path
from xml.etree.ElementTree import Element, ParseError

from xip_core.errors import InputError

FILE_SIZE_BYTES_MAX = 256 * 1024 * 1024
"""After decompression; a gzip bomb stops here."""


def find_file(directory: Path, *names: str) -> Path:
    """The first of *names* that is there, plain or with .gz, in the directory or its `config` folder.

    Raises:
        InputError: none is.
    """
    for name in names:
        for folder in (directory, directory / "config"):
            for candidate in (folder / name, folder / f"{name}.gz"):
                if candidate.is_file():
                    return candidate
    raise InputError(f"must hold {' or '.join(names)} (plain or .gz, also under config/)", str(directory))


def read_bytes(path: Path) -> bytes:
    """Content of a file, decompressed where its name ends in .gz.

    Raises:
        InputError: it cannot be read, is not gzip, or is too large.
    """
    try:
        if path.suffix == ".gz":
            with gzip.open(path) as stream:
                content = stream.read(FILE_SIZE_BYTES_MAX + 1)
        else:
            with path.open("rb") as stream:
                content = stream.read(FILE_SIZE_BYTES_MAX + 1)
    except (OSError, EOFError, zlib.error) as error:
        raise InputError(f"cannot be read: {error}", str(path)) from error
    if len(content) > FILE_SIZE_BYTES_MAX:
        raise InputError(f"must have at most {FILE_SIZE_BYTES_MAX} bytes", str(path))
    return content


def read_xml(path: Path) -> Element:
    """Root element of an XML file.

    Raises:
        InputError: malformed (with the line), or it declares entities or a document type.
    """
    import defusedxml
    import defusedxml.ElementTree

    content = read_bytes(path)
    try:
        root: Element = defusedxml.ElementTree.fromstring(content, forbid_dtd=True)
    except ParseError as error:
        raise InputError(f"malformed XML: {error}", str(path), error.position[0]) from error
    except defusedxml.DefusedXmlException as error:
        message = f"XML must not declare document types or entities: {error}"
        raise InputError(message, str(path), _declaration_line(content)) from error
    return root


def _declaration_line(content: bytes) -> int:
    begin = content.find(b"<!DOCTYPE")
    return content.count(b"\n", 0, max(begin, 0)) + 1


def read_lines(path: Path) -> Iterator[tuple[int, str]]:
    """Numbered lines of a text file, without comments (#) and empty ones."""
    text = read_bytes(path).decode("utf-8", errors="replace")
    for number, line in enumerate(text.splitlines(), start=1):
        stripped = line.strip()
        if stripped and not stripped.startswith("#"):
            yield number, stripped


def text_of(element: Element, tag: str, default: str = "") -> str:
    """Stripped text of the first child *tag*, or *default*."""
    return (element.findtext(tag) or "").strip() or default


def is_true(text: str) -> bool:
    """ORE writes Y, YES, TRUE, true, 1."""
    return text.strip().upper() in ("Y", "YES", "TRUE", "1")
