"""Figures draw what they are given, in the right place."""

import matplotlib

matplotlib.use("Agg")

import matplotlib.pyplot as plt
import numpy as np
import pytest

from helpers.display.plots import (
    show_curve,
    show_filmstrip,
    show_histograms,
    show_images,
    show_matrices,
    show_pipeline,
    show_unet,
)
from helpers.unet import UNetConfig


@pytest.fixture(autouse=True)
def close_figures():
    yield
    plt.close("all")


def drawn(figure):
    return [np.asarray(axis.images[0].get_array()) for axis in figure.axes if axis.images]


def test_show_images_keeps_the_order_and_the_limits():
    images = np.random.default_rng(0).uniform(-1, 1, (7, 28, 28, 1))
    figure = show_images(images, titles=range(7), columns=4)
    np.testing.assert_array_equal(drawn(figure), images[..., 0])
    assert [axis.get_title() for axis in figure.axes] == [*"0123456", ""]
    assert figure.axes[0].images[0].get_clim() == (-1, 1)
    with pytest.raises(ValueError, match="images must be"):
        show_images(images[0, ..., 0])


def test_filmstrip_runs_to_the_right():
    frames = np.random.default_rng(0).uniform(-1, 1, (5, 2, 28, 28, 1))
    figure = show_filmstrip(frames, [90, 70, 50, 30, 10], ["a", "b"])
    np.testing.assert_array_equal(drawn(figure), frames.swapaxes(0, 1).reshape(10, 28, 28))
    assert [axis.get_title() for axis in figure.axes[:5]] == ["90", "70", "50", "30", "10"]
    with pytest.raises(ValueError, match="frames must be"):
        show_filmstrip(frames, [1, 2])


def test_curves_are_named_and_labelled():
    axis = show_curve(np.arange(3), {"a": np.ones(3), "b": np.zeros(3)}, "step t", "loss").axes[0]
    assert [line.get_label() for line in axis.lines] == ["a", "b"]
    assert (axis.get_xlabel(), axis.get_ylabel()) == ("step t", "loss")


def test_histograms_are_shares_of_each_set_in_common_bins():
    real = {"size": np.array([19, 20, 20, 20]), "centre": np.linspace(0, 0.5, 50)}
    generated = {"size": np.array([18, 21]), "centre": np.linspace(0, 1.5, 80)}
    figure = show_histograms({"real": real, "generated": generated}, {"size": 20, "centre": 0.6})
    size, centre = figure.axes
    assert [axis.get_xlabel() for axis in figure.axes] == ["size", "centre"]
    assert [text.get_text() for text in size.get_legend().get_texts()] == ["real", "generated"]
    for axis, limit in ((size, 20.5), (centre, 0.6)):  # whole numbers have bars from half to half
        assert set(axis.lines[0].get_xdata()) == {limit}

    def outline(axis, number):  # the heights of a step histogram's bars
        return axis.patches[number].get_xy()[1:-1:2, 1]

    np.testing.assert_allclose(outline(size, 0), [0, 0.25, 0.75, 0])  # 18, 19, 20, 21
    np.testing.assert_allclose(outline(size, 1), [0.5, 0, 0, 0.5])
    edges = [patch.get_xy()[:, 0] for patch in centre.patches]
    np.testing.assert_array_equal(*edges)
    assert outline(centre, 0).sum() == pytest.approx(1) and (outline(centre, 0)[edges[0][1:-1:2] > 0.55] == 0).all()
    with pytest.raises(ValueError, match=r"measured\['generated'\] must hold 'size'"):
        show_histograms({"real": real, "generated": {"centre": [1.0]}}, {"size": 20})


def test_matrices_stand_side_by_side():
    matrices = {"a": np.arange(6).reshape(2, 3), "b": -np.arange(6).reshape(2, 3)}
    figure = show_matrices(matrices, ["r", "s"], "xyz", "rows", "columns")
    np.testing.assert_array_equal([image for image in drawn(figure) if image.shape == (2, 3)], list(matrices.values()))
    axis = figure.axes[0]
    assert (axis.get_title(), axis.get_ylabel(), axis.get_xlabel()) == ("a", "rows", "columns")
    assert [label.get_text() for label in axis.get_xticklabels()] == [*"xyz"]


def test_pipeline_marks_one_stage():
    figure = show_pipeline(3)
    texts = {text.get_text(): text.get_color() for text in figure.axes[0].texts}
    assert [name for name, colour in texts.items() if colour == "white"] == ["03 U-Net"]
    assert len(texts) == 6
    with pytest.raises(ValueError, match=r"current must be in 1\.\.6"):
        show_pipeline(7)


def test_unet_drawing_follows_its_config():
    texts = [text.get_text() for text in show_unet(UNetConfig(widths=(8, 24, 40))).axes[0].texts]
    assert sum("8 channels" in text and "28 x 28" in text for text in texts) == 2
    assert sum("40 channels" in text and "attention" in text for text in texts) == 1
    assert texts.count("skip connection") == 2 and any("x_t: 1 channel\n" in text for text in texts)
    without = show_unet(UNetConfig(skip_connections=False)).axes[0].texts
    assert "skip connection" not in [text.get_text() for text in without]
