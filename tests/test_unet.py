"""The network: its shapes, its inputs' paths, its start at zero, and a config that refuses nonsense."""

from dataclasses import replace

import keras
import numpy as np
import pytest
import tensorflow as tf

from helpers.diffusion import add_noise, predict_x_0, velocity
from helpers.unet import (
    Denoiser,
    UNetConfig,
    build_denoiser,
    build_unet,
    class_map,
    predict,
    predict_noise,
    residual_block,
    self_attention,
    sinusoidal_embedding,
)
from tests.conftest import TINY, lively


def inputs(count=4, seed=0):
    random = np.random.default_rng(seed)
    x_t = tf.constant(random.normal(size=(count, 28, 28, 1)), tf.float32)
    return [x_t, tf.constant(random.integers(0, 100, count), tf.int32), tf.constant(np.arange(count) % 10, tf.int32)]


@pytest.fixture(scope="module")
def denoiser(schedule):
    """A tiny network in which every path has an effect."""
    return lively(TINY, schedule)


@pytest.fixture(scope="module")
def shipped_size():
    return build_unet(UNetConfig())


def test_size_and_untrained_prediction(shipped_size):
    assert shipped_size.count_params() <= 2_000_000
    output = shipped_size(inputs())
    assert output.shape == (4, 28, 28, 1) and output.dtype == tf.float32
    np.testing.assert_array_equal(output, 0)


def test_every_path_starts_small():
    """Zero-initialised last convolutions: each residual block passes its input on, so gradients reach everything."""
    kernels = [layer for layer in build_unet(TINY).layers if isinstance(layer, keras.layers.Conv2D)]
    assert sum(not np.any(layer.get_weights()[0]) for layer in kernels) == 4 + 1  # four residual blocks and the output


def test_an_untrained_block_passes_its_input_on():
    x_in, embedding = keras.Input((7, 7, 8)), keras.Input((16,))
    block = keras.Model([x_in, embedding], residual_block(x_in, embedding, 8))
    x, e = np.random.default_rng(0).normal(size=(2, 7, 7, 8)).astype(np.float32), np.ones((2, 16), np.float32)
    np.testing.assert_array_equal(block([x, e]), x)


def test_attention_only_at_seven_by_seven(shipped_size):
    attention = [layer for layer in shipped_size.layers if isinstance(layer, keras.layers.MultiHeadAttention)]
    assert [layer.output.shape for layer in attention] == [(None, 49, 96)]
    assert [attention[0].get_config()[name] for name in ("num_heads", "key_dim")] == [4, 24]


def test_attention_is_added_to_its_raw_input():
    x_in = keras.Input((7, 7, 8))
    attention = keras.Model(x_in, self_attention(x_in, heads=2))
    attention.set_weights([np.zeros_like(weight) for weight in attention.get_weights()])
    x = np.random.default_rng(0).normal(3, 2, (2, 7, 7, 8)).astype(np.float32)
    np.testing.assert_array_equal(attention(x), x)


def test_last_level_is_a_position_not_a_width():
    unet = build_unet(replace(TINY, widths=(8, 8, 8)))
    assert [layer.output.shape for layer in unet.layers if isinstance(layer, keras.layers.MultiHeadAttention)] == [
        (None, 49, 8)
    ]


def test_levels_are_28_14_7_and_back(shipped_size):
    sizes = [layer.output.shape[1] for layer in shipped_size.layers if isinstance(layer, keras.layers.Conv2D)]
    assert sorted(set(sizes)) == [7, 14, 28]
    skips = [layer for layer in shipped_size.layers if isinstance(layer, keras.layers.Concatenate)][1:]
    assert [layer.output.shape[1:] for layer in skips] == [(14, 14, 64), (28, 28, 32)]


@pytest.mark.parametrize("changed", ["x_t", "t", "label", "to no label"])
def test_every_input_matters(denoiser, changed):
    unet, (x_t, t, labels) = denoiser.unet, inputs()
    others = {
        "x_t": [x_t + 0.1, t, labels],
        "t": [x_t, (t + 1) % 100, labels],
        "label": [x_t, t, (labels + 1) % 10],
        "to no label": [x_t, t, -tf.ones_like(labels)],
    }
    difference = np.abs(unet([x_t, t, labels]) - unet(others[changed])).max(axis=(1, 2, 3))
    assert np.all(difference > 1e-4)


def test_images_of_a_batch_do_not_mix(denoiser):
    unet, (x_t, t, labels) = denoiser.unet, inputs()
    together = unet([x_t, t, labels])[1:2]
    alone = unet([x_t[1:2], t[1:2], labels[1:2]])
    np.testing.assert_allclose(together, alone, rtol=1e-3, atol=1e-3 * float(np.abs(alone).max()))


def test_class_map():
    maps = class_map(tf.constant([3, -1]), 10, 28).numpy()
    assert maps.shape == (2, 28, 28, 10)
    expected = np.zeros((28, 28, 10))
    expected[..., 3] = 1
    np.testing.assert_array_equal(maps[0], expected)
    np.testing.assert_array_equal(maps[1], 0)


def test_sinusoidal_embedding_against_a_loop():
    embedding = np.asarray(sinusoidal_embedding(tf.constant([0, 7, 99]), 8))
    for row, t in zip(embedding, [0, 7, 99], strict=True):
        angles = [t / 1000 ** (i / 4) for i in range(4)]
        np.testing.assert_allclose(row, [np.sin(a) for a in angles] + [np.cos(a) for a in angles], atol=1e-5)
    every_t = np.asarray(sinusoidal_embedding(tf.range(100), 128))
    distances = np.linalg.norm(every_t[:, None] - every_t[None], axis=-1) + 10 * np.eye(100)
    assert distances.min() > 0.5  # no two steps look alike


def test_image_and_noise_are_predicted_by_both_outputs(schedule):
    x_0, t, _ = inputs(3)
    noise = tf.random.stateless_normal(x_0.shape, [1, 2])
    x_t = add_noise(schedule, x_0, t, noise)
    for predicts, output in (("noise", noise), ("velocity", velocity(schedule, x_0, t, noise))):
        perfect = Denoiser(lambda _, output=output: output, schedule, UNetConfig(predicts=predicts))
        its_x_0, its_noise = predict(perfect, x_t, t, t)
        np.testing.assert_allclose(its_noise, noise, atol=1e-5)
        np.testing.assert_allclose(its_x_0, x_0, atol=2e-3)  # a noise near t = T is divided by 1 / 2048
        np.testing.assert_array_equal(predict_noise(perfect, x_t, t, t), its_noise)


def test_at_the_noisiest_step_the_image_of_a_velocity_is_accurate(schedule):
    """float64 beside float32: by way of the noise, the image was off by 5e-4."""
    random = np.random.default_rng(0)
    x_t, v = random.normal(size=(2, 8, 28, 28, 1)).astype(np.float32)
    alpha_bar = schedule.alpha_bars[99]
    exact = np.sqrt(alpha_bar) * np.float64(x_t) - np.sqrt(1 - alpha_bar) * np.float64(v)
    x_0, noise = predict(Denoiser(lambda _: v, schedule, UNetConfig()), x_t, np.full(8, 99), np.zeros(8))
    np.testing.assert_allclose(x_0, exact, rtol=0, atol=1e-6)
    assert np.abs(predict_x_0(schedule, x_t, 99, noise) - exact).max() > 1e-4


def test_predict_noise_refuses_another_image_size(denoiser):
    with pytest.raises(ValueError, match=r"x_t must be \(batch, 28, 28, 1\), not \(2, 32, 32, 1\)"):
        predict_noise(denoiser, tf.zeros((2, 32, 32, 1)), [0, 0], [0, 0])


def test_half_precision_keeps_float32_weights_and_output(schedule):
    unet = build_denoiser(TINY, schedule, "mixed_bfloat16").unet
    assert {str(weight.dtype) for weight in unet.weights} == {"float32"}
    assert unet(inputs()).dtype == tf.float32
    assert any(layer.compute_dtype == "bfloat16" for layer in unet.layers)
    assert keras.config.dtype_policy().name == "float32"  # the global policy is as it was


def test_ablations_differ_only_where_they_should():
    plain = build_unet(TINY).count_params()
    assert plain - build_unet(replace(TINY, class_in_embedding=False)).count_params() == 10 * TINY.embedding_width
    assert build_unet(replace(TINY, skip_connections=False)).count_params() < plain


@pytest.mark.parametrize(
    "wrong",
    [
        {"widths": (16,)},
        {"widths": (16, 1_000_000, 96)},
        {"widths": (16, -1, 96)},
        {"image_size": 30},
        {"image_size": 4096},
        {"channels": 0},
        {"num_classes": 10.5},
        {"embedding_width": 7},
        {"heads": 5},
        {"predicts": "x_0"},
        {"skip_connections": "no"},
        {"distilled_steps": -1},
        {"distilled_steps": True},
    ],
)
def test_config_refuses(wrong):
    with pytest.raises(ValueError, match=next(iter(wrong))):
        UNetConfig(**wrong)


@pytest.mark.parametrize("names", [("cat",), ("cat", "cat"), ("cat", ""), ("cat", "a, b"), ("cat", " dog")])
def test_class_names_that_would_confuse_are_refused(names):
    with pytest.raises(ValueError, match="class_names must"):
        UNetConfig(num_classes=2, class_names=names)


def test_classes_have_names_or_numbers():
    assert UNetConfig().kind == UNetConfig(num_classes=4).kind == "digit"
    assert UNetConfig(num_classes=3).classes == ("0", "1", "2")
    named = UNetConfig(num_classes=2, class_names=["cat", "black dog"])
    assert named.classes == ("cat", "black dog") and named.kind == UNetConfig(num_classes=26).kind == "class"


def test_precision_refuses():
    with pytest.raises(ValueError, match="precision must be"):
        build_unet(TINY, "float16")


def test_blocks_and_middle_blocks_are_counted():
    def count(**options):
        kinds = [type(layer) for layer in build_unet(replace(TINY, **options)).layers]
        return kinds.count(keras.layers.RMSNormalization), kinds.count(keras.layers.MultiHeadAttention)

    # Normalisations: two in each block (down, middle, up), one in each attention, one before the output.
    assert count() == (2 * (1 + 2 + 1) + 1 + 1, 1)
    assert count(blocks=2) == (2 * (2 + 2 + 2) + 1 + 1, 1)
    assert count(middle_blocks=4) == (2 * (1 + 4 + 1) + 3 + 1, 3)
    assert count(middle_blocks=1) == (2 * (1 + 1 + 1) + 0 + 1, 0)
