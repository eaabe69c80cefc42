"""Page tokens: where a list of runs goes on."""

from __future__ import annotations

import base64

from xip_core.errors import RequestError


def page_token_of(run_key: int) -> str:
    return base64.urlsafe_b64encode(b"run:%d" % run_key).decode()


def run_key_of(token: str) -> int | None:
    if not token:
        return None
    try:
        kind, _, number = base64.urlsafe_b64decode(token).partition(b":")
        if kind == b"run" and len(number) < 20:
            return int(number)
    except ValueError:
        pass
    raise RequestError("BAD_PAGE_TOKEN", f"page_token must be one received before, got {token[:100]!r}")
