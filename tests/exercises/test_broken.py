"""Each patient of the break-it lab shows its symptom, in numbers, and the sampler without its fault does not."""

import numpy as np
import pytest
import tensorflow as tf

from helpers.broken import PATIENTS, patient, symptoms
from helpers.checkpoints import load_unet
from helpers.classifier import load_classifier
from helpers.data import held_out_split
from helpers.diffusion import keyed_noise
from helpers.files import ASSETS
from helpers.objective import held_out_mse
from helpers.sampling import guided_noise, sample
from helpers.unet import predict_noise

LABELS = np.append(np.arange(60) % 10, np.full(30, -1))


@pytest.fixture(scope="module")
def reader():
    return load_classifier("features")


@pytest.fixture(scope="module")
def shown(reader):
    """The symptoms of every patient and of the healthy sampler, at default settings."""
    return {name: symptoms(patient(name)(LABELS, seed=8).images, LABELS, reader) for name in ("healthy", *PATIENTS)}


def test_the_healthy_sampler_has_none(shown):
    healthy = shown["healthy"]
    assert healthy.accuracy > 0.9 and healthy.roughness < 0.2 and healthy.largest <= 1
    assert -0.8 < healthy.brightness < -0.65 and -0.8 < healthy.unasked < -0.65


def test_without_label_dropout_images_nobody_asked_for_are_grey(shown):
    assert shown["A"].accuracy > 0.6 and shown["A"].brightness < -0.6
    assert shown["A"].unasked > shown["healthy"].unasked + 0.15


def test_without_label_dropout_the_answer_to_no_label_is_wrong(mnist):
    """The error of the predicted noise, with the label and without, beside a network of the same size."""
    images, labels = (part[:200] for part in held_out_split(mnist))
    ratios = {}
    for name in ("A", "D"):  # D's network did learn to do without a label
        errors = [
            held_out_mse(*patient(name).args, images, given, per_image=5).noise.mean()
            for given in (labels, np.full(len(labels), -1))
        ]
        ratios[name] = errors[1] / errors[0]
    assert ratios["A"] > 2 > 1.5 > ratios["D"], ratios


def test_times_in_reverse_leave_speckles(shown):
    assert shown["B"].accuracy < 0.4 and shown["B"].largest <= 1
    assert shown["B"].roughness > shown["healthy"].roughness + 0.1
    assert shown["B"].brightness > shown["healthy"].brightness + 0.15


def test_times_in_reverse_are_what_the_network_is_told():
    unet, _ = load_unet()
    backwards, _ = patient("B").args
    x_t, labels = keyed_noise(0, np.arange(3), (28, 28, 1)), tf.range(3)
    told, meant = tf.constant([99, 60, 0]), tf.constant([0, 39, 99])
    np.testing.assert_allclose(backwards([x_t, told, labels]), unet([x_t, meant, labels]), atol=1e-4)


def test_the_wrong_sign_avoids_the_digit(shown):
    assert shown["C"].accuracy < 0.05  # chance alone would read one in ten
    assert abs(shown["C"].roughness - shown["healthy"].roughness) < 0.05 and shown["C"].largest <= 1


@pytest.mark.parametrize("scale", [0.0, 1.0, 1.5, 4.0])
def test_the_wrong_sign_is_only_that(schedule, scale):
    unet, _ = load_unet()
    x_t = keyed_noise(1, np.arange(3), (28, 28, 1))
    t, labels = np.array([90, 50, 10], np.int32), np.array([7, 2, 5], np.int32)
    cond, uncond = (predict_noise(unet, schedule, x_t, t, given) for given in (labels, [-1, -1, -1]))
    wrong = guided_noise(*patient("C").args, x_t, t, labels, scale)
    np.testing.assert_allclose(wrong, uncond - scale * (cond - uncond), atol=1e-3)


def test_the_unscaled_schedule_is_too_bright(shown):
    assert shown["D"].accuracy < 0.5 and shown["D"].brightness > shown["healthy"].brightness + 0.2


def test_without_clipping_pixels_explode(shown):
    assert shown["E"].accuracy < 0.4 and shown["E"].largest > 10 and shown["E"].roughness > 0.4


def test_clipping_is_all_that_is_missing(reader):
    images = sample(*load_unet(ASSETS / "unet-noise"), LABELS, seed=8).images
    np.testing.assert_array_equal(images, patient("E")(LABELS, seed=8, clip_x_0=True).images)
    assert symptoms(images, LABELS, reader).accuracy > 0.7


def test_symptoms_by_hand(reader):
    images = np.full((3, 28, 28, 1), -1, np.float32)
    images[0, ::2] = 3.0  # seen as 1: every pixel differs from the one below it by 2
    images[2] = 0.5
    shown = symptoms(images, np.array([0, 1, -1]), reader)
    np.testing.assert_allclose(shown[1:], (-0.5, 1.0, 3.0, 0.5))


def test_no_such_patient():
    with pytest.raises(ValueError, match="name must be one of healthy, A, B, C, D, E, not 'F'"):
        patient("F")
