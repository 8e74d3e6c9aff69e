"""One worker of the multi-worker tests, told what to do by a JSON text. Not a test itself."""

import json
import os
import signal
import sys

from helpers.workers import make_strategy  # first: the cluster must exist before anything touches a device

if __name__ == "__main__":
    task = json.loads(sys.argv[1])
    strategy = make_strategy(task["strategy"])
    import helpers.training as training
    from helpers.data import load_mnist
    from helpers.objective import TrainingConfig
    from helpers.unet import UNetConfig

    update, seen = training.tqdm.update, []

    def counted(bar, n=1):
        seen.append(n)
        if len(seen) == task.get("dies_after"):
            os.kill(os.getpid(), signal.SIGKILL)
        return update(bar, n)

    training.tqdm.update = counted
    mnist, images = load_mnist(), task.get("images", 100)
    recipe = TrainingConfig(steps=6, batch_size=16, warmup_steps=2, gradient_clip=0.05, seed=task.get("seed", 0))
    try:
        unet, _, history = training.train(
            UNetConfig(widths=(8, 8, 8), embedding_width=16, heads=2),
            recipe,
            mnist.train_images[:images],
            mnist.train_labels[:images],
            task.get("out"),
            resume=task.get("resume", False),
            strategy=strategy,
            history_every=1,
            save_every_seconds=0,
            progress=False,
        )
    except (ValueError, RuntimeError) as error:
        print(f"error: {error}", flush=True)
        os._exit(2)  # TensorFlow's own farewell would wait for the other workers
    weights = float(sum(abs(weight).sum() for weight in unet.get_weights()))
    with open(task["report"], "w") as file:
        json.dump({"losses": [row["loss"] for row in history], "average_weights": weights}, file)
