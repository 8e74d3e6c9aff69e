"""What the report card measures on the generated images, and beside them nearly always on as many real ones.

The digit by "judge", variety and likeness by "features", captions by digit-clip: see `classifier` and `clip`. The
formulas are those of `metrics`; here is what goes into them. Read in notebook 06.
"""

from collections.abc import Callable

import numpy as np
from scipy.stats import bootstrap

from helpers.captions import digit_prompts
from helpers.classifier import extract_features, load_classifier, read_images
from helpers.clip import load_clip, zero_shot
from helpers.data import load_mnist, to_model_range, training_split
from helpers.digit_clip import DIGIT_CLIP
from helpers.metrics import (
    coverage,
    draw_with_counts,
    frechet_ratio,
    memorisation,
    nearest_neighbours,
    training_value,
    wilson_interval,
)

FLOOR_DRAWS = 5  # of real training images, whose mean is the floor
CLOSEST = 10  # pairs that are kept to be looked at


class Evaluation:
    """What the measures share: the images and labels, generated and real, and their features, each computed once.

    `images` `(n, 28, 28, 1)` float32 in [-1, 1] were drawn for `labels` `(n,)`, those of the first n test images.
    """

    def __init__(self, images: np.ndarray, labels: np.ndarray, seed: int) -> None:
        mnist = load_mnist()
        self.seed, self.labels, self.images = seed, labels, images  # images (n, 28, 28, 1)
        self.test_images = to_model_range(mnist.test_images[: len(labels)]).numpy()  # (n, 28, 28, 1)
        train_images, self.train_labels = training_split(mnist)
        # In parts, (55000, 28, 28, 1) in all: TensorFlow keeps what it needs on the way, half a gigabyte for the whole.
        self.train_images = np.concatenate([to_model_range(part).numpy() for part in np.split(train_images, 55)])
        self.draws = [draw_with_counts(self.train_labels, labels, seed + draw) for draw in range(FLOOR_DRAWS)]
        network = load_classifier("features")
        every = (self.images, self.test_images, self.train_images)
        self.features, self.test_features, self.train_features = (extract_features(network, part) for part in every)

    def digits(self) -> dict:
        """The share of images in which "judge" reads the digit asked for, with Wilson's interval; per digit too."""
        right = read_images(load_classifier("judge"), self.images) == self.labels  # (n,)
        return {**_share(right), "per_digit": [_share(right[self.labels == digit]) for digit in range(10)]}

    def clip(self) -> dict:
        """The share in which digit-clip's nearest prompt names the digit: generated and real, overall and per digit."""
        clip, texts = load_clip(DIGIT_CLIP), digit_prompts()
        result = {}
        for name, images in (("generated", self.images), ("real", self.test_images)):
            right = zero_shot(clip.embed_images(images), clip.embed_texts(texts)) == self.labels  # (n,)
            parts = [right, *(right[self.labels == digit] for digit in range(10))]
            shares = [{"share": float(part.mean()), "interval": bootstrap_interval(part, self.seed)} for part in parts]
            result[name] = {**shares[0], "per_digit": shares[1:]}
        return result

    def frechet(self) -> dict:
        """R: the Frechet distance to the test images, over that of as many real training images."""
        draws = [self.train_features[draw] for draw in self.draws]
        return frechet_ratio(self.features, self.test_features, draws)._asdict()

    def coverage(self) -> dict:
        """Coverage of the test images (k = 5) by the generated ones, and by as many real training images."""
        real = np.mean([coverage(self.train_features[draw], self.test_features) for draw in self.draws])
        generated = coverage(self.features, self.test_features)
        return {"generated": generated, "real": float(real), "share": float(generated / real)}

    def training_value(self) -> dict:
        """Classification accuracy score: a CNN taught by generated images, and by as many real ones; two seeds each."""
        test, draw = (self.test_images, self.labels), self.draws[0]
        sets = {"generated": (self.images, self.labels), "real": (self.train_images[draw], self.train_labels[draw])}
        return {name: training_value(*taught, *test, seed=self.seed) for name, taught in sets.items()}

    def copies(self) -> dict:
        """Distance to the nearest training image: of generated images and of test images, in features and pixels."""
        pixels = [images.reshape(len(images), -1) for images in (self.images, self.test_images, self.train_images)]
        features = (self.features, self.test_features, self.train_features)
        return {"features": self._nearest(*features), "pixels": self._nearest(*pixels)}

    def _nearest(self, generated: np.ndarray, test: np.ndarray, train: np.ndarray) -> dict:
        distances, nearest = nearest_neighbours(generated, train)
        found = memorisation(distances, nearest_neighbours(test, train)[0], self.seed)
        closer = wilson_interval(int(np.sum(distances < found.threshold)), len(distances))
        closest = np.argsort(distances)[:CLOSEST]
        pairs = {"generated": closest.tolist(), "training": nearest[closest].tolist()}
        # By chance 1 % would be closer; clearly more is a reason to look at the pairs, not yet a proof.
        return {**found._asdict(), "share_closer_interval": closer, "flagged": closer[0] > 0.01, "closest": pairs}


MEASURES: dict[str, Callable[[Evaluation], dict]] = {
    "digits": Evaluation.digits,
    "clip": Evaluation.clip,
    "frechet": Evaluation.frechet,
    "coverage": Evaluation.coverage,
    "training_value": Evaluation.training_value,
    "copies": Evaluation.copies,
}


def _share(right: np.ndarray) -> dict:
    return {"share": float(right.mean()), "interval": wilson_interval(int(right.sum()), len(right))}


def bootstrap_interval(values: np.ndarray, seed: int = 0, draws: int = 1_000) -> tuple[float, float]:
    """The 95 % percentile bootstrap interval of the mean of `values` `(n,)`, from `draws` redraws.

    Raises `ValueError` unless they are at least 2 finite numbers.
    """
    values = np.asarray(values, float)
    if values.ndim != 1 or len(values) < 2 or not np.isfinite(values).all():
        raise ValueError(f"values must be at least 2 finite numbers, (n,), not {values.shape}.")
    if np.ptp(values) == 0:  # every redraw is the same
        return float(values[0]), float(values[0])
    found = bootstrap((values,), np.mean, n_resamples=draws, method="percentile", batch=50, rng=seed)
    return float(found.confidence_interval.low), float(found.confidence_interval.high)
