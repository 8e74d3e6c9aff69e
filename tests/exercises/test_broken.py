"""Each patient of the break-it lab has the one fault it should have. Notebook 05 itself asserts the symptoms."""

import numpy as np
import pytest
import tensorflow as tf

from helpers.checkpoints import PRETRAINED_NOISE, load_denoiser
from helpers.data import to_model_range, validation_split
from helpers.diffusion import add_noise, per_sample_noise
from helpers.evaluation.classifiers import digit_accuracy, load_classifier
from helpers.exercises.broken import patient, symptoms
from helpers.sampling.sampler import guided_noise
from helpers.unet import predict_noise

DIGITS = np.arange(20) % 10


@pytest.fixture(scope="module")
def pretrained():
    """The pre-trained network, loaded once for the patients that use it, too."""
    (denoiser,) = patient("healthy").args
    return denoiser


def test_without_label_dropout_predictions_without_a_label_are_wrong(mnist):
    """The error of the predicted noise with and without the label, beside a network of the same size."""
    images, labels = (part[:100] for part in validation_split(mnist))
    x_0, t, noise = to_model_range(images), np.arange(100, dtype=np.int32), per_sample_noise(0, range(100), (28, 28, 1))
    ratios = {}
    for name in ("A", "D"):  # D's network was trained with label dropout
        (denoiser,) = patient(name).args
        x_t = add_noise(denoiser.schedule, x_0, t, noise)
        errors = [np.mean((predict_noise(denoiser, x_t, t, y) - noise) ** 2) for y in (labels, np.full(100, -1))]
        ratios[name] = errors[1] / errors[0]
    assert ratios["A"] > 2 > 1.5 > ratios["D"], ratios


def test_reversed_times_are_the_only_fault_of_b(pretrained):
    (reversed_,) = patient("B").args
    x_t, labels = per_sample_noise(0, np.arange(3), (28, 28, 1)), tf.range(3)
    given, used = tf.constant([99, 60, 0]), tf.constant([0, 39, 99])
    np.testing.assert_allclose(reversed_.unet([x_t, given, labels]), pretrained.unet([x_t, used, labels]), atol=1e-4)


@pytest.mark.parametrize("scale", [0.0, 1.0, 1.5, 4.0])
def test_the_wrong_sign_is_the_only_fault_of_c(pretrained, scale):
    x_t = per_sample_noise(1, np.arange(3), (28, 28, 1))
    t, labels = np.array([90, 50, 10], np.int32), np.array([7, 2, 5], np.int32)
    cond, uncond = (predict_noise(pretrained, x_t, t, given) for given in (labels, [-1, -1, -1]))
    wrong = guided_noise(*patient("C").args, x_t, t, labels, scale)
    np.testing.assert_allclose(wrong, uncond - scale * (cond - uncond), atol=1e-3)


def test_the_unscaled_schedule_leaves_much_signal(pretrained):
    assert patient("D").args[0].schedule.alpha_bars[-1] ** 0.5 > 0.5 > 0.01 > pretrained.schedule.alpha_bars[-1] ** 0.5


def test_missing_clipping_is_the_only_fault_of_e():
    (denoiser,), expected = patient("E").args, load_denoiser(PRETRAINED_NOISE)
    for weight, expected_weight in zip(denoiser.unet.get_weights(), expected.unet.get_weights(), strict=True):
        np.testing.assert_array_equal(weight, expected_weight)
    judge, digits = load_classifier("judge"), patient("E")(DIGITS, seed=8, clip_x_0=True).images
    assert patient("E").keywords == {"clip_x_0": False}
    assert digit_accuracy(judge, digits, DIGITS) >= 0.85 and digit_accuracy(judge, digits, (DIGITS + 1) % 10) < 0.1


def test_symptoms_of_known_images():
    images = np.full((3, 28, 28, 1), -1, np.float32)
    images[0, ::2] = 3.0  # clipped to 1: every pixel differs from the one below it by 2
    images[2] = 0.5
    found = symptoms(images, np.array([0, 1, -1]), load_classifier("features"))
    np.testing.assert_allclose(found[1:], (-0.5, 1.0, 3.0, 0.5))


def test_an_unknown_patient_is_refused():
    with pytest.raises(ValueError, match="name must be one of healthy, A, B, C, D, E, not 'F'"):
        patient("F")
