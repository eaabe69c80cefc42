"""setup.py: what it compiles with, what it says where it cannot, what a source distribution holds."""

from __future__ import annotations

import os
import re
import stat
import subprocess
import sys
import tarfile
from pathlib import Path

REPOSITORY = Path(__file__).parents[3]
KERNELS = REPOSITORY / "xip_core" / "kernels"
VANILLA = REPOSITORY / "xip_core" / "pricing" / "vanilla"


def run_setup(*arguments: str, **environment: str) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        [sys.executable, "setup.py", *arguments],
        cwd=REPOSITORY,
        env=os.environ | environment,
        capture_output=True,
        text=True,
        check=False,
    )


def a_compiler(folder: Path, refuses: str) -> str:
    """A stand-in compiler that fails on one flag, as old ones do, and accepts everything else."""
    script = folder / "cc"
    script.write_text(f'#!/bin/sh\ncase "$*" in *{refuses}*) echo "bad value for -march" >&2; exit 1;; esac\n')
    script.chmod(script.stat().st_mode | stat.S_IXUSR)
    return str(script)


def test_compiler_that_does_not_know_a_level_is_named_with_the_level(tmp_path: Path) -> None:
    compiler = a_compiler(tmp_path, refuses="-march=")
    done = run_setup("build_ext", f"--build-lib={tmp_path}", f"--build-temp={tmp_path}", CC=compiler)
    assert done.returncode == 1
    assert re.search(r"the compiler must know level (v2|arm64) \(-march=.*\), .*cc said: bad value", done.stderr)


def test_absent_compiler_is_said_to_be_absent(tmp_path: Path) -> None:
    done = run_setup("build_ext", f"--build-lib={tmp_path}", f"--build-temp={tmp_path}", CC="no-such-compiler")
    assert done.returncode == 1
    assert "a C compiler is needed to build the kernels, 'no-such-compiler' is not there" in done.stderr


def test_no_flag_lets_the_compiler_change_a_number() -> None:
    text = (REPOSITORY / "setup.py").read_text()
    flags = re.findall(r'"(-[^" ]+)"', text)
    assert "-ffp-contract=off" in flags
    forbidden = ("-Ofast", "-ffast-math", "-funsafe-math", "-fassociative", "-freciprocal", "-ffinite-math", "-fopenmp")
    assert [flag for flag in flags if flag.startswith(forbidden)] == []


def test_kernels_call_no_elementary_function_of_libm() -> None:
    """libm differs between machines, and a call inside a loop keeps it scalar."""
    called = re.compile(r"(?<![\w.])(exp|expm1|log|log1p|pow|erf|erfc|sin|cos|tan|tanh|cbrt|hypot)\(")
    code = re.compile(r'""".*?"""|/\*.*?\*/|#.*?$', re.DOTALL | re.MULTILINE)
    offenders = [
        f"{path.name}: {match.group()}"
        for pattern in ("*.pyx", "*.pxd", "*.h")
        for folder in (KERNELS, VANILLA)
        for path in sorted(folder.glob(pattern))
        for match in called.finditer(code.sub("", path.read_text()))
    ]
    assert offenders == []


def test_source_distribution_holds_every_compiled_source(tmp_path: Path) -> None:
    done = run_setup("-q", "egg_info", f"--egg-base={tmp_path}", "sdist", f"--dist-dir={tmp_path}")
    assert done.returncode == 0, done.stderr
    (archive,) = tmp_path.glob("*.tar.gz")
    with tarfile.open(archive) as packed:
        names = {name.partition("/")[2] for name in packed.getnames()}
    sources = {
        str(path.relative_to(REPOSITORY))
        for pattern in ("*.pyx", "*.pxd", "*.h")
        for folder in (KERNELS, VANILLA)
        for path in folder.glob(pattern)
    }
    assert sources <= names
    assert {"setup.py", "pyproject.toml", "tests/core/kernels/test_build.py", "bench/bench_kernels.py"} <= names
    assert not [name for name in names if name.endswith((".so", ".pyc"))]
