"""Faults of PostgreSQL and of the way to it, drawn by seed: `python -m tests.postgres_faults`."""
