"""What both shipped networks answer to two fixed images, as 32 of the answers' pixels.

    python -m tests.maintenance.network_outputs     # after new weights: writes network_outputs.json beside this file

A test compares them, because a change of the network that still fits the weights breaks no other rule.
"""

import helpers.tools.quiet  # noqa: F401

import json
from pathlib import Path

import numpy as np
import tensorflow as tf

from helpers.checkpoints import PRETRAINED, PRETRAINED_NOISE, load_denoiser
from helpers.tools.files import atomic_write

OUTPUTS = Path(__file__).with_suffix(".json")


def outputs_of(folder: Path) -> list:
    """The network's output for a noisy 3 and for an almost clean image of no digit in particular: `(2, 4, 4)`."""
    x_t = 1.5 * np.sin(0.37 * np.arange(2 * 28 * 28) ** 2).reshape(2, 28, 28, 1)  # the same with any version
    inputs = tf.constant(x_t, tf.float32), tf.constant([80, 10]), tf.constant([3, -1])
    output = load_denoiser(folder).unet(inputs).numpy()  # (2, 28, 28, 1)
    return output[:, 3::7, 3::7, 0].astype(float).round(4).tolist()


if __name__ == "__main__":
    with atomic_write(OUTPUTS) as temporary:
        found = {folder.name: outputs_of(folder) for folder in (PRETRAINED, PRETRAINED_NOISE)}
        temporary.write_text(json.dumps(found) + "\n", encoding="utf-8")
