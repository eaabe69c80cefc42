"""Packages that add kernels, installed by the tests into directories of their own; see `install`."""
