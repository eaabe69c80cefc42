"""Digests: hex in the model, 32 raw bytes on the wire; "" and b"" both mean none."""

from __future__ import annotations

from xip_core.errors import RequestError

DIGEST_SIZE_BYTES = 32


def digest_to_wire(digest: str) -> bytes:
    """
    Hex to bytes; "" to b"".

    Raises:
        RequestError: BAD_DIGEST, it is not hexadecimal.
    """
    try:
        return bytes.fromhex(digest)
    except ValueError:
        sentence = f"a digest must have {2 * DIGEST_SIZE_BYTES} hexadecimal digits, got {digest[:80]!r}"
        raise RequestError("BAD_DIGEST", sentence) from None


def digest_from_wire(digest: bytes) -> str:
    """
    Bytes to hex; b"" to "".

    Raises:
        RequestError: BAD_DIGEST, neither empty nor 32 bytes.
    """
    if len(digest) not in (0, DIGEST_SIZE_BYTES):
        raise RequestError("BAD_DIGEST", f"a digest must have {DIGEST_SIZE_BYTES} bytes, got {len(digest)}")
    return digest.hex()
