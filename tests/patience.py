"""How long a test waits for what happens by itself, before it fails.

A limit, never a measure: nothing waits for it where all is well, and a machine busy with other work must not reach it.
What a test claims of time it shows by order, by counts, or in virtual time.
"""

from __future__ import annotations

PATIENCE_S = 60.0
