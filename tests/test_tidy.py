"""The house rules that a machine can check.

Sizes keep files readable, import directions keep the seams, uniform kernel heads keep the numerics: each rule is one
test, each offender one line of the failure.
"""

from __future__ import annotations

import ast
import re
from collections.abc import Iterator
from pathlib import Path

import pytest

REPOSITORY = Path(__file__).resolve().parent.parent
PACKAGES = ("xip_core", "xip_scheduler", "xip_worker")
GENERATED = REPOSITORY / "xip_core/wire/v1"

FUNCTION_LINES_MAX = 70
FILE_LINES_MAX = 500
TEST_FILE_LINES_MAX = 800

KERNEL_HEAD = "# cython: language_level=3, boundscheck=False, wraparound=False, cdivision=True, initializedcheck=False"

# Which parts of xip_core a part may import, beside itself.
CORE_IMPORTS_ALLOWED = {
    "errors": set(),
    "model": {"errors", "kernels"},  # scenarios applied to the quotes of a block, in loops without NumPy's locks
    "kernels": {"errors"},
    "graph": {"errors", "model", "kernels", "risk"},  # kernels' declarations, as data; how many scenarios a rule needs
    "risk": {"errors", "model", "kernels"},  # pure functions over arrays
    "scenarios": {"errors", "model", "kernels"},  # pure: data in, a scenario set out
    "pricing": {"errors", "model", "graph", "kernels", "risk"},
    "readers": {"errors", "model", "scenarios"},
    "samples": {"errors", "model", "graph", "pricing", "readers"},  # the builder refuses rows that do not resolve
    "wire": {"errors", "model", "graph"},
    "client": {"errors", "model", "graph", "wire", "risk", "scenarios"},
    "cli": {
        "errors", "model", "graph", "wire", "client", "kernels", "pricing", "readers", "risk", "samples", "scenarios",
    },
}  # fmt: skip
SCHEDULER_IMPORTS_ALLOWED = {"errors", "model", "graph", "wire"}
WORKER_IMPORTS_ALLOWED = {"errors", "model", "graph", "wire", "pricing", "kernels"}

# The pure state machines see no clock, no IO and no chance.
PURE_MODULES = ("xip_scheduler/core", "xip_worker/core.py")
OPENS_FOR_TESTS = ("tests/serving.py", "tests/scheduler/rpc/conftest.py")
"""Where fixtures close what they open."""

IMPURE_IMPORTS = {
    "asyncio", "grpc", "sqlite3", "sqlalchemy", "time", "random", "logging", "structlog", "threading", "socket", "os",
}  # fmt: skip


def sources(*roots: str, suffixes: tuple[str, ...] = (".py",)) -> Iterator[Path]:
    for root in roots:
        base = REPOSITORY / root
        candidates = [base] if base.is_file() else sorted(base.rglob("*"))
        for path in candidates:
            if path.suffix in suffixes and GENERATED not in path.parents:
                yield path


def relative(path: Path) -> str:
    return str(path.relative_to(REPOSITORY))


def imported_modules(path: Path) -> Iterator[tuple[int, str]]:
    """(line, absolute module) of every import statement, those inside functions included."""
    for node in ast.walk(ast.parse(path.read_text(), filename=str(path))):
        if isinstance(node, ast.Import):
            for alias in node.names:
                yield node.lineno, alias.name
        elif isinstance(node, ast.ImportFrom):
            assert node.level == 0, f"{relative(path)}:{node.lineno}: relative import"
            yield node.lineno, node.module or ""
            for alias in node.names:
                yield node.lineno, f"{node.module}.{alias.name}"


def test_no_function_is_longer_than_a_screen() -> None:
    offenders = []
    for path in sources(*PACKAGES, "tests", "bench", "proto", "setup.py"):
        for node in ast.walk(ast.parse(path.read_text())):
            if isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef):
                line_count = (node.end_lineno or node.lineno) - node.lineno + 1
                if line_count > FUNCTION_LINES_MAX:
                    offenders.append(f"{relative(path)}:{node.lineno}: {node.name} has {line_count} lines")
    assert offenders == []


def test_no_file_is_longer_than_its_limit() -> None:
    offenders = []
    for path in sources(*PACKAGES, "tests", "bench", "proto", "setup.py", suffixes=(".py", ".pyx", ".pxd", ".h")):
        line_count = len(path.read_text().splitlines())
        limit = TEST_FILE_LINES_MAX if relative(path).startswith("tests/") else FILE_LINES_MAX
        if line_count > limit:
            offenders.append(f"{relative(path)}: {line_count} lines, at most {limit}")
    assert offenders == []


def test_imports_go_one_way() -> None:
    offenders = []
    for package, allowed_for in (
        ("xip_core", CORE_IMPORTS_ALLOWED),
        ("xip_scheduler", SCHEDULER_IMPORTS_ALLOWED),
        ("xip_worker", WORKER_IMPORTS_ALLOWED),
    ):
        for path in sources(package):
            part = path.relative_to(REPOSITORY / package).parts[0].removesuffix(".py")
            for line, module in imported_modules(path):
                pieces = module.split(".")
                if pieces[0] in PACKAGES and pieces[0] not in (package, "xip_core"):
                    offenders.append(f"{relative(path)}:{line}: a daemon is started, not imported: {module}")
                if pieces[0] != "xip_core" or len(pieces) < 2 or pieces[1].startswith("__"):
                    continue
                if isinstance(allowed_for, dict):
                    allowed = allowed_for.get(part, set()) | {part}
                    if part == "__init__":
                        allowed = {"kernels", "client"}
                else:
                    allowed = allowed_for
                if pieces[1] not in allowed and (REPOSITORY / "xip_core" / pieces[1]).with_suffix("").exists():
                    offenders.append(f"{relative(path)}:{line}: {package}.{part} must not import {module}")
    assert sorted(set(offenders)) == []


def test_state_machines_are_pure() -> None:
    offenders = [
        f"{relative(path)}:{line}: {module}"
        for path in sources(*PURE_MODULES)
        for line, module in imported_modules(path)
        if module.split(".")[0] in IMPURE_IMPORTS
    ]
    assert offenders == []


def test_stubs_are_used_by_shells_only() -> None:
    """Only wire.convert knows both model and protobuf; besides it, the gRPC shells speak stubs."""
    shells = ("xip_core/wire/", "xip_core/client/", "xip_scheduler/rpc/", "xip_scheduler/daemon.py", "xip_worker/")
    offenders = [
        f"{relative(path)}:{line}: {module}"
        for path in sources(*PACKAGES)
        for line, module in imported_modules(path)
        if "_pb2" in module and not relative(path).startswith(shells)
    ]
    assert offenders == []


def test_kernel_files_open_with_the_same_directives() -> None:
    kernels = list(sources("xip_core", suffixes=(".pyx",)))
    assert kernels, "no kernel sources found"
    offenders = [relative(path) for path in kernels if path.read_text().splitlines()[0] != KERNEL_HEAD]
    assert offenders == []


@pytest.mark.parametrize("word", ["FIXME", "TODO", "XXX"])
def test_no_promises_in_the_code(word: str) -> None:
    offenders = [
        f"{relative(path)}:{number}"
        for path in sources(*PACKAGES, "bench", "proto", "setup.py", suffixes=(".py", ".pyx", ".pxd", ".h", ".proto"))
        for number, line in enumerate(path.read_text().splitlines(), 1)
        if re.search(rf"\b{word}\b", line)
    ]
    assert offenders == []


def test_tests_wait_for_conditions_and_never_sleep() -> None:
    pattern = re.compile(r"\bsleep" + r"\(")
    offenders = [
        f"{relative(path)}:{number}"
        for path in sources("tests")
        for number, line in enumerate(path.read_text().splitlines(), 1)
        if pattern.search(line)
    ]
    assert offenders == []


def test_tests_close_the_servers_and_channels_they_open() -> None:
    """A channel is opened by `async with`, a server is run by `tests.serving.listening`."""
    offenders = []
    for path in sources("tests"):
        tree = ast.parse(path.read_text())
        calls = [(node, ast.unparse(node.func)) for node in ast.walk(tree) if isinstance(node, ast.Call)]
        held = {item.context_expr for node in ast.walk(tree) if isinstance(node, ast.AsyncWith) for item in node.items}
        held |= {node.args[0] for node, name in calls if name.endswith("enter_async_context")}
        for node, name in calls:
            is_open = name.endswith("aio.insecure_channel") and node not in held
            is_run = name.endswith("aio.server") and not any(other.endswith("listening") for _, other in calls)
            if (is_open or is_run) and relative(path) not in OPENS_FOR_TESTS:
                offenders.append(f"{relative(path)}:{node.lineno}")
    assert offenders == []


def test_folders_are_nouns_of_the_domain() -> None:
    shunned = {"utils", "util", "common", "helpers", "misc"}
    offenders = [relative(path) for path in sources(*PACKAGES) if path.stem in shunned]
    assert offenders == []


def test_every_module_opens_with_its_theory() -> None:
    offenders = []
    for path in sources(*PACKAGES):
        tree = ast.parse(path.read_text())
        if tree.body and not ast.get_docstring(tree):
            offenders.append(relative(path))
    assert offenders == []
