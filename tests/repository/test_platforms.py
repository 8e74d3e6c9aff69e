"""The course runs on Windows and macOS: what only POSIX has is guarded, in `helpers/` and in the tests.

Read from the source; with --all, every module is imported in a process that lacks it.
"""

import ast
import json
import os
import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[2]
FILES = sorted([*(ROOT / "helpers").rglob("*.py"), *(ROOT / "tests").rglob("*.py")])
MODULES = {"resource", "fcntl", "pwd", "grp", "termios", "tty", "pty", "posix", "syslog", "crypt", "readline"}
NAMES = {
    "os": "fork forkpty killpg setsid setpgrp getpgid getuid geteuid getgid getegid chown nice uname mkfifo mknod "
    "wait3 getloadavg sched_getaffinity sched_setaffinity O_DIRECTORY O_NOFOLLOW WIFSIGNALED statvfs fchmod",
    "signal": "SIGKILL SIGHUP SIGQUIT SIGALRM SIGUSR1 SIGUSR2 SIGSTOP SIGTSTP SIGCONT SIGPIPE SIGCHLD alarm setitimer "
    "pause pthread_kill pthread_sigmask sigwait siginterrupt",
    "multiprocessing": "cpu_count",  # not of this process alone: `joblib.cpu_count` knows how many it may use
}
NAMES = {(module, name) for module, names in NAMES.items() for name in names.split()} | {("os", "cpu_count")}
METHODS = {"symlink", "symlink_to", "fork", "hardlink_to"}  # Windows allows links to administrators alone
GUARDS = ("sys.platform", "os.name", "hasattr(", "get_all_start_methods")


def needs_posix(node: ast.AST) -> bool:
    match node:
        case ast.Import():
            return any(alias.name.partition(".")[0] in MODULES for alias in node.names)
        case ast.ImportFrom():
            names = {(node.module, alias.name) for alias in node.names}
            return node.module in MODULES or bool(names & NAMES) or ("multiprocessing", "forkserver") in names
        case ast.Attribute(value=ast.Name(id=module), attr=name) if (module, name) in NAMES:
            return True
        case ast.Call(func=ast.Attribute(attr=name)) if name in METHODS:
            return True
        case ast.Call(func=ast.Attribute(attr="get_context" | "set_start_method"), args=[argument, *_]):
            return any(isinstance(part, ast.Constant) and "fork" in str(part.value) for part in ast.walk(argument))
        case ast.Call(func=ast.Attribute(attr="CDLL"), args=[ast.Constant(value=None), *_]):
            return True
    return False


def is_guard(node: ast.AST) -> bool:
    """A condition that names the platform, an `except`, or a test that is skipped elsewhere."""
    match node:
        case ast.Try():
            return bool(node.handlers)
        case ast.If() | ast.IfExp():
            return any(guard in ast.unparse(node.test) for guard in GUARDS)
        case ast.FunctionDef():
            return any("skipif" in (text := ast.unparse(one)) and any(guard in text for guard in GUARDS)
                       for one in node.decorator_list)  # fmt: skip
    return False


def unguarded(node: ast.AST) -> list[int]:
    """The lines under a node that need POSIX without asking for it."""
    if is_guard(node):
        return []
    below = [line for child in ast.iter_child_nodes(node) for line in unguarded(child)]
    return [node.lineno, *below] if needs_posix(node) else below


@pytest.mark.parametrize(
    "code",
    [
        "import resource",
        "from fcntl import flock",
        "import os.path, pwd",
        "from signal import SIGKILL",
        "from multiprocessing import forkserver",
        "context = multiprocessing.get_context('forkserver')",
        "multiprocessing.set_start_method('fork')",
        "libc = ctypes.CDLL(None)",
        "def kill(pid):\n    os.kill(pid, signal.SIGKILL)",
        "link.symlink_to(folder)",
        "os.symlink(folder, link)",
        "cores = os.sched_getaffinity(0)",
        "cores = os.cpu_count()",
        "if ready:\n    import resource",
        "try:\n    os.fork()\nfinally:\n    end()",
        "@pytest.mark.slow\ndef test():\n    os.fork()",
    ],
)
def test_what_needs_posix_is_found(code):
    assert unguarded(ast.parse(code))


@pytest.mark.parametrize(
    "code",
    [
        "if sys.platform != 'win32':\n    import resource",
        "try:\n    import resource\nexcept ImportError:\n    resource = None",
        "cores = len(os.sched_getaffinity(0)) if hasattr(os, 'sched_getaffinity') else 1",
        "@pytest.mark.skipif(os.name != 'posix', reason='')\ndef test():\n    os.fork()",
        "signals = [getattr(signal, name) for name in ('SIGINT', 'SIGHUP') if hasattr(signal, name)]",
        "context = multiprocessing.get_context('spawn')",
        "os.kill(pid, signal.SIGTERM)",
    ],
)
def test_what_is_guarded_is_not(code):
    assert not unguarded(ast.parse(code))


def test_nothing_needs_posix_unasked():
    found = {
        str(file.relative_to(ROOT)): lines
        for file in FILES
        if (lines := unguarded(ast.parse(file.read_text(encoding="utf-8"))))
    }
    assert found == {}


WITHOUT_POSIX = """
import importlib, json, multiprocessing, os, signal, sys

# Not ours:
import tensorflow, keras, torch, transformers, pytest, matplotlib.pyplot, psutil
import IPython, ipykernel.kernelspec, jupyter_client.manager, nbclient, nbconvert, nbformat
import multiprocessing.forkserver, concurrent.futures.process, subprocess
from transformers import CLIPConfig, CLIPImageProcessorPil, CLIPModel, CLIPTokenizer

modules, lacking, names = json.loads(sys.argv[1])


class Blocker:
    def find_spec(self, name, path=None, target=None):
        if name.partition(".")[0] in lacking:
            raise ModuleNotFoundError(f"No module named {name!r}", name=name)


def only_spawn(method=None):
    if method not in (None, "spawn"):
        raise ValueError(f"cannot find context for {method!r}")
    return spawning


spawning = multiprocessing.get_context("spawn")
multiprocessing.get_context, multiprocessing.get_all_start_methods = only_spawn, lambda: ["spawn"]
sys.meta_path.insert(0, Blocker())
for name in lacking:
    sys.modules.pop(name, None)
for module, name in names:
    if module != "multiprocessing" and name != "cpu_count" and hasattr(sys.modules[module], name):
        delattr(sys.modules[module], name)
failed = {}
for module in modules:
    try:
        importlib.import_module(module)
    except BaseException as error:
        failed[module] = repr(error)
print(json.dumps(failed))
"""


@pytest.mark.slow
def test_every_module_is_imported_without_posix():
    """The benchmarks' and the maintenance's, too."""
    modules = [".".join(file.relative_to(ROOT).with_suffix("").parts).removesuffix(".__init__") for file in FILES]
    what = json.dumps([modules, sorted(MODULES), sorted(NAMES)])
    command = [sys.executable, "-c", WITHOUT_POSIX, what]
    done = subprocess.run(command, cwd=ROOT, env=os.environ, capture_output=True, text=True)
    assert done.returncode == 0, done.stderr
    failed = json.loads(done.stdout.splitlines()[-1])
    assert failed == {} and len(modules) > 150
