"""One worker of the multi-worker tests: the training command, changed by a JSON text. Not a test itself."""

import functools
import json
import os
import signal
import sys

import helpers.training as training


def report_into(path: str, save_every_seconds: float):
    """`train` with a row of history for every step; the losses, and the average's weights, go into a file."""

    def train(*arguments, **options):
        every = {"history_every": 1, "save_every_seconds": save_every_seconds}
        unet, schedule, history = train_itself(*arguments, **options, **every)
        weights = [float(abs(weight).sum()) for weight in unet.get_weights()]
        with open(path, "w") as file:
            json.dump({"losses": {row["step"]: row["loss"] for row in history}, "average_weights": weights}, file)
        return unet, schedule, history

    train_itself = training.train
    return train


def killed_at(step: int):
    """tqdm's `update`, which is called once a step, and ends this process without any farewell at one of them."""

    def update(bar, n=1):
        seen.append(n)
        if len(seen) == step:
            os.kill(os.getpid(), signal.SIGKILL)
        return update_itself(bar, n)

    update_itself, seen = training.tqdm.update, []
    return update


if __name__ == "__main__":
    task = json.loads(sys.argv[1])
    training.TrainingConfig = functools.partial(training.TrainingConfig, **task.get("recipe", {}))
    training.UNetConfig = functools.partial(training.UNetConfig, **task.get("network", {}))
    training.train = report_into(task["report"], task.get("save_every_seconds", 180.0))
    if "dies_at" in task:
        training.tqdm.update = killed_at(task["dies_at"])
    if "version" in task:
        training.versions = lambda: task["version"]
    sys.exit(training.main(task["arguments"]))
