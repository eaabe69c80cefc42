"""
Build of the kernels: every module of xip_core/kernels once per CPU level, from one C file.

    xip_core/kernels/black.pyx -> xip_core.kernels._v2.black, xip_core.kernels._v3.black, xip_core.kernels._v4.black

The level is a folder, not a suffix, so that one cythonized file serves all: a module's init function bears the last
part of its name. `xip_core.kernels.level` chooses the folder at import. On arm64 there is one level, "arm64".

What only branches and counts is built once: resolving of plain trades (xip_core/pricing/vanilla) and reading of books
(xip_core/graph).

Everything else about the project is in pyproject.toml. Why these flags: docs/kernels.md.
"""

from __future__ import annotations

import copy
import os
import platform
import re
import subprocess
import sys
import tempfile
from pathlib import Path

from setuptools import Extension, setup
from setuptools.command.build_ext import build_ext

KERNELS = Path("xip_core/kernels")
MODULES = sorted(path.stem for path in KERNELS.glob("*.pyx"))
INCLUDED = re.compile(
    r'(?:from xip_core\.kernels\.(\w+) cimport|extern from "([\w.]+)"|#include "([\w.]+)"|^include "([\w.]+)")',
    re.MULTILINE,
)
PLAIN_FOLDERS = (Path("xip_core/pricing/vanilla"), Path("xip_core/graph"))
PLAIN_FLAGS = ["-O3", "-ffp-contract=off", "-fno-math-errno", "-Wno-unused-function", "-g0"]
LEVEL_FOLDER = re.compile(r"(?<=xip_core\.kernels\.)_\w+\.")
LEVELS = {
    "x86_64": {"v2": "-march=x86-64-v2", "v3": "-march=x86-64-v3", "v4": "-march=x86-64-v4"},
    "aarch64": {"arm64": "-march=armv8-a"},
}
# Contraction off and no -ffast-math: a*b+c is fused where the source says fma and nowhere else, so all levels agree.
FLAGS = [
    "-O3",
    "-ffp-contract=off",
    "-fno-math-errno",
    "-fno-trapping-math",
    "-mprefer-vector-width=512",
    "--param=vect-max-version-for-alias-checks=200",  # loops over many columns stay scalar without it
]
X86_ONLY = {"-mprefer-vector-width=512"}


def levels_here() -> dict[str, str]:
    machine = {"AMD64": "x86_64", "arm64": "aarch64"}.get(platform.machine(), platform.machine())
    if machine not in LEVELS:
        raise SystemExit(f"kernels are built for {sorted(LEVELS)}, this machine is {machine!r}")
    return LEVELS[machine]


def headers_of(source: Path) -> set[Path]:
    """What *source* includes of ours, directly or through others: only then is it compiled again."""
    found = {path for path in (source.with_suffix(".pxd"),) if path.exists()}  # a module sees its own unasked
    rest = [source, *found]
    while rest:
        for module, *names in INCLUDED.findall(rest.pop().read_text()):
            path = KERNELS / (f"{module}.pxd" if module else "".join(names))
            if path.exists() and path not in found:
                found.add(path)
                rest.append(path)
    return found


def plain_extensions() -> list[Extension]:
    """What reads and resolves: branches and integers, which gain nothing from a CPU level."""
    return [
        Extension(
            f"{folder.as_posix().replace('/', '.')}.{source.stem}",
            [str(source)],
            depends=sorted(str(path) for pattern in ("*.h", "*.pxd") for path in folder.glob(pattern)),
            include_dirs=[str(folder)],
            libraries=["m"],
            extra_compile_args=PLAIN_FLAGS,
        )
        for folder in PLAIN_FOLDERS
        for source in sorted(folder.glob("*.pyx"))
    ]


def extensions() -> list[Extension]:
    machine_flags = [flag for flag in FLAGS if "arm64" not in levels_here() or flag not in X86_ONLY]
    return [
        Extension(
            f"xip_core.kernels._{level}.{module}",
            [str(KERNELS / f"{module}.pyx")],
            depends=sorted(map(str, headers_of(KERNELS / f"{module}.pyx"))),
            include_dirs=[str(KERNELS)],
            libraries=["m"],
            extra_compile_args=[*machine_flags, march, "-g0"],
        )
        for level, march in levels_here().items()
        for module in MODULES
    ]


class BuildKernels(build_ext):
    """Cythonize each module once, then compile all levels side by side."""

    def finalize_options(self) -> None:
        is_given = self.build_temp is not None
        super().finalize_options()
        # An editable install would build in a folder of the moment; here it compiles only what changed, and a compiler
        # cache sees the same paths in every checkout.
        if not is_given:
            self.build_temp = f"build/temp.{self.plat_name}-{sys.implementation.cache_tag}"
        self.parallel = self.parallel or os.cpu_count()

    def run(self) -> None:
        from Cython.Build import cythonize

        self._check_compiler()
        cythonized = cythonize(
            [
                *[Extension(f"xip_core.kernels.{name}", [str(KERNELS / f"{name}.pyx")]) for name in MODULES],
                *plain_extensions(),
            ],
            build_dir=str(Path(self.build_temp) / "cython"),
            include_path=["."],
            force=bool(self.force),
            quiet=True,
        )
        generated = {extension.name: extension.sources for extension in cythonized}
        for extension in self.extensions:
            extension.sources = generated[LEVEL_FOLDER.sub("", extension.name)]
            if self.inplace:
                Path(extension.name.replace(".", "/")).parent.mkdir(exist_ok=True)
        super().run()

    def build_extension(self, ext: Extension) -> None:
        # All levels compile the same file: each needs its own folder for objects.
        command = copy.copy(self)
        command.build_temp = str(Path(self.build_temp) / ext.name.split(".")[-2])
        build_ext.build_extension(command, ext)

    def _check_compiler(self) -> None:
        compiler = (os.environ.get("CC") or "cc").split()
        with tempfile.TemporaryDirectory() as folder:
            source = Path(folder) / "empty.c"
            source.write_text("int main(void) { return 0; }\n")
            for level, march in levels_here().items():
                command = [*compiler, march, "-c", str(source), "-o", str(source.with_suffix(".o"))]
                try:
                    done = subprocess.run(command, capture_output=True, text=True, check=False)
                except FileNotFoundError:
                    sys.exit(f"a C compiler is needed to build the kernels, {compiler[0]!r} is not there")
                if done.returncode:
                    sys.exit(
                        f"the compiler must know level {level} ({march}; gcc >= 11 or clang >= 12 do), "
                        f"{' '.join(compiler)} said: {done.stderr.strip()}"
                    )


setup(ext_modules=[*extensions(), *plain_extensions()], cmdclass={"build_ext": BuildKernels})
