"""One Cython module; everything else is in pyproject.toml."""

from Cython.Build import cythonize
from setuptools import Extension, setup

setup(ext_modules=cythonize([Extension("poison_kernels.crimes", ["poison_kernels/crimes.pyx"])]))
