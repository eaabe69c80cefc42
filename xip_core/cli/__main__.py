"""`python -m xip_core.cli` is `xipctl`."""

from __future__ import annotations

from xip_core.cli.main import main

if __name__ == "__main__":
    main()
