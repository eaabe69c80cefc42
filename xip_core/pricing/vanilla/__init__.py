"""Compiled resolving of plain trades: the twin of resolve_rates, resolve_credit and resolve_assets without the GIL.

Resolving a swap in Python takes a hundred times as long as valuing it under a scenario, all of it under the
interpreter's lock. Here lines of a book are read to C records (lines.h, reading.h, trades.h, `trades`), schedules, day
counts, fixings and terms of a whole tile are made of them (dates.h, schedules.h, legs.h, products.h) and written as the
columns of pricing.program (columns.h, `program`), all without it. What a market is to it are the tables of `tables`,
and what names in lines mean the words learnt there (words.h).

**Equal to the byte.** The columns of a tile are those that Python writes, whatever rows are in it: every formula has
the operations of its twin in their order, and points need not be numbered alike, for columns hold factors, not points.
A row that is not plain, or that anything at all is wrong with, is resolved in Python among its compiled neighbours: so
there is one place for reasons and sentences. `pricing.resolve.resolve_rows_in_python` is the readable reference; tests
compare the bytes.

Plain are swaps of fixed, floating and overnight legs, FRAs, caps and floors, European swaptions with physical
settlement, bonds, CDS by mid-points, forwards and options on FX, equities and commodities; reading.h says what is not.
"""
