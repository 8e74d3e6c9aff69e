"""A function in a process of its own: its peak memory is its own, and nothing is warm from before."""

import multiprocessing
import sys
from collections.abc import Callable
from concurrent.futures import ProcessPoolExecutor
from pathlib import Path

import psutil


def alone(function: Callable, *arguments: object) -> tuple:
    """(result, peak memory in GiB) of a module's function, run in a new process."""
    context = multiprocessing.get_context("spawn")
    with ProcessPoolExecutor(1, mp_context=context) as pool:
        return pool.submit(_with_peak, function, arguments).result()


def _with_peak(function: Callable, arguments: tuple) -> tuple:
    result = function(*arguments)
    return result, peak_memory()


def peak_memory() -> float:
    """The most memory that this process has used so far, in GiB."""
    status = Path("/proc/self/status")
    if status.exists():  # on Linux, where getrusage would also count the memory of the parent at this process's start
        peak = next(line for line in status.read_text(encoding="utf-8").splitlines() if line.startswith("VmHWM:"))
        return int(peak.split()[1]) / 2**20  # from kibibytes
    if sys.platform == "win32":
        return psutil.Process().memory_info().peak_wset / 2**30
    else:  # macOS, which counts in bytes
        import resource

        return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 2**30


def print_row(what: str, figure: str) -> None:
    """One aligned line of a benchmark, printed at once."""
    print(f"{what:52} {figure}", flush=True)
