"""The scheduler: takes runs from desks, leases their work to workers, keeps every number that was computed.

    rpc ──events──> driver ──> core (pure) ──orders──> journal ──batch──> store (committed)
     ^                                                                      │
     └──────────── leases, acknowledgements, wake-ups: only then ───────────┘

`daemon` puts the parts together, `main` is the command, `restore` is what a restart begins with.
"""
