"""A store put back from a backup: what no grant of the lost future may match (S3).

Workers may hold leases of a future that the store has forgotten. So:

* the term jumps by a random number, so that two restores of one backup do not meet;
* epochs go on 2^40 or more behind the last ones reserved, at a random place: nobody has ever held one of these;
* leases of older epochs are never adopted (`epoch_floor`), so what their holders still report is refused.
"""

from __future__ import annotations

import secrets

from xip_scheduler.store import audit

RESTORED_TERMS = 1 << 20
RESTORED_EPOCHS_MIN = 1 << 40
RESTORED_EPOCHS = 1 << 50
"""Steps behind what a backup knew. A scheduler grants 10^9 leases in a day of its highest rate: the past can have used
a thousandth of the smallest step, and two restores of one backup meet with a chance of one in a million."""


def leave_the_past(numbers: dict[str, int], acknowledged: int) -> audit.Entry:
    """Move the term and the epochs to where nobody has been."""
    found = dict(numbers)
    numbers["term"] += secrets.randbelow(RESTORED_TERMS)
    numbers["epoch_end"] += RESTORED_EPOCHS_MIN + secrets.randbelow(RESTORED_EPOCHS)
    numbers["epoch_floor"] = numbers["epoch_end"]
    numbers["commit_serial"] = max(numbers["commit_serial"], acknowledged)
    detail = {"acknowledged": acknowledged, "found": found, "epoch_floor": numbers["epoch_floor"]}
    return audit.Entry("restored", detail=detail)
