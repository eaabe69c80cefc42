"""The Cython module; everything else is in pyproject.toml."""

from Cython.Build import cythonize
from setuptools import Extension, setup

from xip_core.kernels.extension import include_directory

setup(
    ext_modules=cythonize(
        [
            Extension(
                "example_kernels.digital",
                ["example_kernels/digital.pyx"],
                include_dirs=[include_directory()],
                # Contraction off: a*b+c is fused where the source says fma and nowhere else, so all machines agree.
                extra_compile_args=["-O3", "-ffp-contract=off", "-fno-math-errno", "-fno-trapping-math"],
            )
        ]
    )
)
