"""A function in a process of its own: its peak memory is its own, and nothing is warm from before."""

import multiprocessing
import resource
from collections.abc import Callable
from concurrent.futures import ProcessPoolExecutor
from pathlib import Path


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
    if not status.exists():  # not on Linux; macOS counts in bytes
        return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 2**30
    # On Linux getrusage would also count the memory of the parent when it started this process.
    peak = next(line for line in status.read_text().splitlines() if line.startswith("VmHWM:"))
    return int(peak.split()[1]) / 2**20  # from kibibytes


def print_row(what: str, figure: str) -> None:
    """One aligned line of a benchmark, printed at once."""
    print(f"{what:52} {figure}", flush=True)
