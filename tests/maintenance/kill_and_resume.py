"""Kill a tiny training at random moments, start it again, and compare its losses with those of an uninterrupted run.

    python -m tests.maintenance.kill_and_resume      # 10 times, by SIGINT (Ctrl-C) and SIGKILL; prints "10 of 10"

The run saves after every step, so that most kills hit it while it writes. The same call resumes it: it must find the
checkpoint and do only the steps that are left. A run that starts anew has the same losses, and doesn't count.
"""

import multiprocessing
import os
import random
import signal
import sys
import tempfile
import time
from pathlib import Path
from typing import NamedTuple

import numpy as np
from tqdm import tqdm

from helpers.checkpoints import load_denoiser, read_history
from helpers.data import load_mnist
from helpers.tools.arrays import load_checkpoint
from helpers.tools.files import ASIDE, settle
from helpers.training.loop import train
from helpers.training.objective import TrainingConfig
from helpers.training.trainer import CHECKPOINT
from helpers.unet import UNetConfig

NETWORK = UNetConfig(widths=(8, 8), embedding_width=16, heads=2)
KILL = getattr(signal, "SIGKILL", signal.SIGTERM)  # on Windows SIGTERM ends a process at once
RECIPE = TrainingConfig(steps=12, batch_size=16, warmup_steps=2)
# Forks of one process that has imported TensorFlow, but not used it yet: only that process waits for the import.
# Windows has no forks.
METHOD = "forkserver" if "forkserver" in multiprocessing.get_all_start_methods() else "spawn"
PROCESSES = multiprocessing.get_context(METHOD)
PROCESSES.set_forkserver_preload(["helpers.training.loop"])


def end_server() -> None:
    """End the process that forks, which would keep 0.7 GB until this process ends."""
    if "forkserver" in multiprocessing.get_all_start_methods():
        from multiprocessing import forkserver

        forkserver._forkserver._stop()


class Ended(NamedTuple):
    """What happened to a training that was killed and resumed."""

    story: str
    saved: int  # the step of the checkpoint that the kill left, 0 without one
    resumed: int  # the steps done after that


def saved_step(folder: Path) -> int:
    """The step of the checkpoint in `folder`, as resuming finds it; 0 without one."""
    settle(folder)
    return load_checkpoint(folder / CHECKPOINT)[1]["step"] if (folder / CHECKPOINT).exists() else 0


def train_tiny(folder: Path, steps_done: multiprocessing.Value) -> None:
    """Train into `folder`, or resume the training there."""
    update = tqdm.update

    def counted(bar, n=1):
        steps_done.value += n
        return update(bar, n)

    tqdm.update = counted
    mnist = load_mnist()
    options = {"history_every": 1, "save_every_seconds": 0.0, "progress": False}
    try:
        train(NETWORK, RECIPE, mnist.train_images[:100], mnist.train_labels[:100], folder, **options)
    except KeyboardInterrupt:
        sys.exit(130)


def start(folder: Path) -> tuple[multiprocessing.Process, multiprocessing.Value]:
    """A training in a process of its own, and the number of steps that it has done."""
    steps_done = PROCESSES.Value("i", 0, lock=False)  # only the training writes it
    process = PROCESSES.Process(target=train_tiny, args=(folder, steps_done), daemon=True)  # it ends with this process
    process.start()
    return process, steps_done


def kill_and_resume(folder: Path, kill: signal.Signals, step: int, delay: float) -> Ended:
    """Kill a new training `delay` seconds after `step`, and resume it."""
    process, steps_done = start(folder)
    while steps_done.value < step and process.is_alive():
        time.sleep(0.001)
    time.sleep(delay)
    os.kill(process.pid, kill)
    process.join()
    if process.exitcode == 0:
        raise RuntimeError(f"the run was over before {kill.name} reached it.")
    stopped = f"{kill.name} during step {steps_done.value}, exit code {process.exitcode}"
    left = ", a file half written" if list(folder.glob(f"{ASIDE}*")) else ""
    saved = saved_step(folder)
    process, steps_done = start(folder)
    process.join()
    then = f"step {saved} saved; then {steps_done.value} steps, exit code {process.exitcode}"
    return Ended(f"{stopped}{left}; {then}", saved, steps_done.value)


def is_as_if_never_killed(ended: Ended, folder: Path, whole: Path) -> bool:
    """True if it resumed, the losses are the same, nothing half written is left, and the network can be loaded."""
    if not 0 < ended.saved == RECIPE.steps - ended.resumed:
        return False
    try:
        mine, theirs = (read_history(path / "history.csv") for path in (folder, whole))
        load_denoiser(folder)
    except (OSError, ValueError):
        return False
    return (
        np.array_equal(mine["step"], theirs["step"])
        and np.allclose(mine["loss"], theirs["loss"], rtol=1e-5)
        and not list(folder.glob(f"{ASIDE}*"))
    )


def count_survivors(kills: int, seed: int, folder: Path) -> int:
    """How many of `kills` trainings in `folder` end like an uninterrupted one; prints a line for each."""
    whole = folder / "whole"
    process, _ = start(whole)
    process.join()
    moments, survivors = random.Random(seed), 0
    for i in range(kills):
        kill = signal.SIGINT if i % 2 == 0 else KILL
        # At the earliest during the saving of the first step.
        moment = (
            moments.randrange(2, RECIPE.steps - 2),
            moments.uniform(0, 0.1),
        )  # a step and its saving take about 0.1 s
        happened = kill_and_resume(folder / str(i), kill, *moment)
        survived = is_as_if_never_killed(happened, folder / str(i), whole)
        survivors += survived
        print(f"{happened.story}: {'the same losses' if survived else 'NOT RESUMED AS IF NEVER KILLED'}", flush=True)
    return survivors


if __name__ == "__main__":
    with tempfile.TemporaryDirectory() as temporary:
        survivors = count_survivors(10, 0, Path(temporary))
    print(f"{survivors} of 10")
    sys.exit(survivors < 10)
