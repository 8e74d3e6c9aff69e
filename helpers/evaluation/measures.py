"""The measures of the report card, on generated images and nearly always on equally many real ones.

The classifier "judge" recognises the digits, the features of "critic" measure likeness and variety, and digit-clip
matches captions: see `classifiers` and `clip`. No network takes part in the second opinion, by the pixels' principal
components, or in MNIST's own rule (`strokes`). The formulas are in `metrics` and `neighbours`. Used in notebook 06.
"""

from collections.abc import Callable

import numpy as np
from sklearn.decomposition import PCA

from helpers.data import load_mnist, to_model_range, training_split
from helpers.evaluation.classifiers import classify, extract_features, load_classifier
from helpers.evaluation.clip import DIGIT_CLIP, digit_prompts, load_clip, zero_shot
from helpers.evaluation.metrics import (
    bootstrap_interval,
    draw_with_counts,
    frechet_ratio,
    training_value,
    wilson_interval,
)
from helpers.evaluation.neighbours import memorisation, nearest_neighbours, neighbourhood
from helpers.evaluation.strokes import RULE, rule_measures

FLOOR_DRAWS = 5  # of real training images, whose mean is the floor
CLOSEST = 10  # pairs that are kept to be looked at
COMPONENTS = 64  # principal components of the pixels: 86 % of their variance


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
        self.real = np.mean([neighbourhood(draw, features) for draw in self.floor], axis=0)  # (4,)

    def compare(self, generated: np.ndarray) -> dict[str, dict]:
        """R of generated features `(n, d)`, and the `neighbourhood` of the generated and of the real ones, by name.

        A "share" is the generated images' value over that of the real draws.
        """
        found = neighbourhood(generated, self.features)._asdict()
        beside = {
            name: {"generated": value, "real": float(real), "share": float(value / real)}
            for (name, value), real in zip(found.items(), self.real, strict=True)
        }
        return {"frechet": frechet_ratio(generated, self.features, self.floor)._asdict(), **beside}


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
        network = load_classifier("critic")
        every = (self.images, self.test_images, self.train_images)
        self.features, self.test_features, self.train_features = (extract_features(network, part) for part in every)
        self.reference = self._reference(self.test_features, self.train_features)

    def _reference(self, test: np.ndarray, train: np.ndarray) -> Reference:
        return Reference(test, self.labels, self.train_labels, lambda drawn: train[drawn], FLOOR_DRAWS, self.seed)

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

    def critic(self) -> dict:
        """R, coverage, density, precision and recall against the test images, beside those of real training images."""
        return self.reference.compare(self.features)

    def components(self) -> dict:
        """The same on the first principal components of the training images' pixels, which no network has taught."""
        generated, test, train = self._pixels()
        axes = PCA(COMPONENTS, svd_solver="covariance_eigh").fit(train)
        return self._reference(axes.transform(test), axes.transform(train)).compare(axes.transform(generated))

    def rule(self) -> dict:
        """The shares of generated and of test images that exceed what MNIST's own rule allows, by name."""
        generated, real = rule_measures(self.images), rule_measures(self.test_images)
        return {
            name: {"generated": _share(generated[name] > most), "real": _share(real[name] > most)}
            for name, most in RULE.items()
        }

    def training_value(self) -> dict:
        """Classification accuracy score: of a CNN trained on the generated images, and on equally many real ones."""
        test, draw = (self.test_images, self.labels), self.reference.positions[0]
        sets = {"generated": (self.images, self.labels), "real": (self.train_images[draw], self.train_labels[draw])}
        return {name: training_value(*training, *test, seed=self.seed) for name, training in sets.items()}

    def copies(self) -> dict:
        """Distance to the nearest training image: of generated images and of test images, in features and pixels."""
        features = (self.features, self.test_features, self.train_features)
        return {"features": self._nearest(*features), "pixels": self._nearest(*self._pixels())}

    def _pixels(self) -> list[np.ndarray]:
        return [images.reshape(len(images), -1) for images in (self.images, self.test_images, self.train_images)]

    def _nearest(self, generated: np.ndarray, test: np.ndarray, train: np.ndarray) -> dict:
        distances, nearest = nearest_neighbours(generated, train)
        found = memorisation(distances, nearest_neighbours(test, train)[0], self.seed)
        closer = wilson_interval(int(np.sum(distances < found.threshold)), len(distances))
        closest = np.argsort(distances)[:CLOSEST]
        pairs = {"generated": closest.tolist(), "training": nearest[closest].tolist()}
        # By chance 1 % would be closer. Clearly more is a reason to look at the pairs, not yet a proof.
        return {**found._asdict(), "share_closer_interval": closer, "flagged": closer[0] > 0.01, "closest": pairs}


MEASURES: dict[str, Callable[[Evaluation], dict]] = {
    name: getattr(Evaluation, name)
    for name in ("digits", "clip", "critic", "components", "rule", "training_value", "copies")
}


def _share(correct: np.ndarray) -> dict:
    return {"share": float(correct.mean()), "interval": wilson_interval(int(correct.sum()), len(correct))}
