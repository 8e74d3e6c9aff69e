"""The measures of the report card, on generated images and nearly always on equally many real ones.

The classifier "judge" recognises the digits, the features of "features" measure variety and similarity, and digit-clip
matches captions: see `classifiers` and `clip`. The formulas are in `metrics`. Used in notebook 06.
"""

from collections.abc import Callable

import numpy as np

from helpers.data import load_mnist, to_model_range, training_split
from helpers.evaluation.classifiers import classify, extract_features, load_classifier
from helpers.evaluation.clip import DIGIT_CLIP, digit_prompts, load_clip, zero_shot
from helpers.evaluation.metrics import (
    FrechetRatio,
    bootstrap_interval,
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


class Reference:
    """Features of real images to compare generated ones with, and further draws of real images as the floor.

    `features` `(n, d)` are the reference. Each of the `draws` takes, by `draw_with_counts`, images with the given
    `labels` `(n,)` from a pool of real images: `pool_labels` `(m,)`, and `features_at` gives the features of positions
    in the pool.
    """

    def __init__(
        self,
        features: np.ndarray,
        labels: np.ndarray,
        pool_labels: np.ndarray,
        features_at: Callable[[np.ndarray], np.ndarray],
        draws: int,
        seed: int = 0,
    ) -> None:
        self.features = features
        self.positions = [draw_with_counts(pool_labels, labels, seed + draw) for draw in range(draws)]  # (n,) each
        self.floor = [features_at(positions) for positions in self.positions]  # (n, d) each
        self.real_coverage = float(np.mean([coverage(draw, features) for draw in self.floor]))

    def frechet(self, generated: np.ndarray) -> FrechetRatio:
        """R of generated features `(n, d)`: their Frechet distance to the reference over that of the real draws."""
        return frechet_ratio(generated, self.features, self.floor)

    def coverage(self, generated: np.ndarray) -> dict[str, float]:
        """Coverage (k = 5) of the reference by generated features `(n, d)`, by the real draws, and the ratio."""
        found = coverage(generated, self.features)
        return {"generated": found, "real": self.real_coverage, "share": found / self.real_coverage}


class Evaluation:
    """The inputs that the measures share: images and labels, generated and real, and their features.

    `images` `(n, 28, 28, 1)` float32 in [-1, 1] were drawn for `labels` `(n,)`, those of the first n test images.
    """

    def __init__(self, images: np.ndarray, labels: np.ndarray, seed: int) -> None:
        mnist = load_mnist()
        self.seed, self.labels, self.images = seed, labels, images  # images (n, 28, 28, 1)
        self.test_images = to_model_range(mnist.test_images[: len(labels)]).numpy()  # (n, 28, 28, 1)
        train_images, self.train_labels = training_split(mnist)
        # In parts, (55000, 28, 28, 1) in all: TensorFlow's intermediate results take half a gigabyte for the whole.
        self.train_images = np.concatenate([to_model_range(part).numpy() for part in np.split(train_images, 55)])
        network = load_classifier("features")
        every = (self.images, self.test_images, self.train_images)
        self.features, self.test_features, self.train_features = (extract_features(network, part) for part in every)
        self.reference = Reference(
            self.test_features, labels, self.train_labels, lambda drawn: self.train_features[drawn], FLOOR_DRAWS, seed
        )

    def digits(self) -> dict:
        """The share of images that "judge" classifies as requested, with Wilson's interval; per digit too."""
        correct = classify(load_classifier("judge"), self.images) == self.labels  # (n,)
        return {**_share(correct), "per_digit": [_share(correct[self.labels == digit]) for digit in range(10)]}

    def clip(self) -> dict:
        """The share whose nearest prompt by digit-clip names the digit: generated and real, overall and per digit."""
        clip, texts = load_clip(DIGIT_CLIP), digit_prompts()
        result = {}
        for name, images in (("generated", self.images), ("real", self.test_images)):
            correct = zero_shot(clip.embed_images(images), clip.embed_texts(texts)) == self.labels  # (n,)
            parts = [correct, *(correct[self.labels == digit] for digit in range(10))]
            shares = [{"share": float(part.mean()), "interval": bootstrap_interval(part, self.seed)} for part in parts]
            result[name] = {**shares[0], "per_digit": shares[1:]}
        return result

    def frechet(self) -> dict:
        """R: the Frechet distance to the test images, over that of equally many real training images."""
        return self.reference.frechet(self.features)._asdict()

    def coverage(self) -> dict:
        """Coverage of the test images by the generated ones, and by equally many real training images."""
        return self.reference.coverage(self.features)

    def training_value(self) -> dict:
        """Classification accuracy score: of a CNN trained on the generated images, and on equally many real ones."""
        test, draw = (self.test_images, self.labels), self.reference.positions[0]
        sets = {"generated": (self.images, self.labels), "real": (self.train_images[draw], self.train_labels[draw])}
        return {name: training_value(*training, *test, seed=self.seed) for name, training in sets.items()}

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
        # By chance 1 % would be closer. Clearly more is a reason to look at the pairs, not yet a proof.
        return {**found._asdict(), "share_closer_interval": closer, "flagged": closer[0] > 0.01, "closest": pairs}


MEASURES: dict[str, Callable[[Evaluation], dict]] = {
    "digits": Evaluation.digits,
    "clip": Evaluation.clip,
    "frechet": Evaluation.frechet,
    "coverage": Evaluation.coverage,
    "training_value": Evaluation.training_value,
    "copies": Evaluation.copies,
}


def _share(correct: np.ndarray) -> dict:
    return {"share": float(correct.mean()), "interval": wilson_interval(int(correct.sum()), len(correct))}
