"""One worker of the multi-worker test: trains a small U-Net and writes the losses it saw. Not a test itself."""

import json
import sys

from helpers.training import make_strategy  # first: the cluster must exist before anything touches a device

if __name__ == "__main__":
    strategy = make_strategy(sys.argv[2])
    from helpers.data import load_mnist
    from helpers.objective import TrainingConfig
    from helpers.training import train
    from helpers.unet import UNetConfig

    mnist = load_mnist()
    network = UNetConfig(widths=(8, 8, 8), embedding_width=16, heads=2)
    recipe = TrainingConfig(steps=6, batch_size=16, warmup_steps=2, gradient_clip=0.05)
    unet, _, history = train(
        network,
        recipe,
        mnist.train_images[:100],
        mnist.train_labels[:100],
        strategy=strategy,
        history_every=1,
        progress=False,
    )
    weights = float(sum(abs(weight).sum() for weight in unet.get_weights()))
    with open(sys.argv[1], "w") as file:
        json.dump({"losses": [row["loss"] for row in history], "average_weights": weights}, file)
