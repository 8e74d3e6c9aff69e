"""One worker of the multi-worker tests: the training command, changed by a JSON text. Not a test itself.

`python -m tests.training.worker JSON`
"""

import functools
import json
import os
import signal
import sys

from tqdm import tqdm

import helpers.custom_data
import helpers.training.loop
import helpers.training.objective
from helpers.__main__ import main


def reported(train, path: str, save_every_seconds: float):
    """`train` with a row of history for every step; it writes the losses and the EMA's weights to a file."""

    def train_and_report(*arguments, **options):
        every = {"history_every": 1, "save_every_seconds": save_every_seconds}
        ema, history = train(*arguments, **options, **every)
        weights = [float(abs(weight).sum()) for weight in ema.unet.get_weights()]
        with open(path, "w", encoding="utf-8") as file:
            json.dump({"losses": {row["step"]: row["loss"] for row in history}, "ema_weights": weights}, file)
        return ema, history

    return train_and_report


def signalled_at(step: int, number: int):
    """tqdm's `update`, which is called once per step; at one of them this process sends itself a signal."""

    def update(bar, n=1):
        seen.append(n)
        if len(seen) == step:
            os.kill(os.getpid(), number)
        return update_itself(bar, n)

    update_itself, seen = tqdm.update, []
    return update


if __name__ == "__main__":
    task = json.loads(sys.argv[1])
    # The command imports these names when it runs, so the changed ones are found.
    objective, loop, custom_data = helpers.training.objective, helpers.training.loop, helpers.custom_data
    objective.TrainingConfig = functools.partial(objective.TrainingConfig, **task.get("recipe", {}))
    custom_data.UNetConfig = functools.partial(custom_data.UNetConfig, **task.get("network", {}))
    loop.train = reported(loop.train, task["report"], task.get("save_every_seconds", 180.0))
    if task.get("stopped_at") == "connected":
        loop.versions = lambda: os.kill(os.getpid(), getattr(signal, task["stop"]))
    elif "stopped_at" in task:
        tqdm.update = signalled_at(task["stopped_at"], getattr(signal, task["stop"]))
    if "version" in task:
        loop.versions = lambda: task["version"]
    sys.exit(main(["train", *task["arguments"]]))
