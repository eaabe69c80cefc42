"""A worker that sends no output which others can make: `python -m tests.integration.sparing_worker --scheduler=...`."""

from __future__ import annotations

import math

from xip_worker import remaking
from xip_worker.main import main

if __name__ == "__main__":
    remaking.REMAKE_S_PER_BYTE = math.inf
    main()
