"""The real SQLite store on disks that fail.

    script    what the writer commits, one batch after the other, and the state each prefix of it must give
    writer    the process that commits it, acknowledging each commit on a pipe
    tracing   strace: attached to a writer, it kills, fails or slows the n-th call, or writes down all of them
    kill      SIGKILL before every call that changes a file
    power     what a power loss may leave: unsynced writes dropped in random subsets of 512-byte sectors
    damage    flipped bits, swapped pages, cut files, syncs that did nothing
    trouble   a full disk, EIO from a sync
    served    a whole scheduler as a process, whose store's thread strace watches
    grid      kill -9 of a whole scheduler that is fed over gRPC
    together  kill -9 of it within the commit of several results that came in one message
    slow      syncs longer than a lease, under a whole scheduler

After each fault the store is opened as the next start would open it. What it then holds must be the state after the
commits that were acknowledged, or after one more: the commit under way may or may not have happened.

    python -m tests.storefaults --require-all
"""
