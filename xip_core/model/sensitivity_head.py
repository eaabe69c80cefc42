"""How the bytes of a set of sensitivities begin: told from scenarios without reading either."""

from __future__ import annotations

SENSITIVITIES_TAG = "sensitivities"
_HEAD = b'{"type":"sensitivities"'


def is_sensitivity_set(encoded: bytes) -> bool:
    """Whether bytes are those of a set of sensitivities, as `model.sensitivity.encode_sensitivities` writes them."""
    return encoded.startswith(_HEAD)
