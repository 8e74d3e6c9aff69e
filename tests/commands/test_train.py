"""The command `train`: what it passes on, what it refuses, and what it says in the end. `test_loop` tests the training.

`test_shapes` trains with it on pictures of one's own.
"""

import shutil
from types import SimpleNamespace

import numpy as np
import pytest
import tensorflow as tf

from helpers.__main__ import main
from helpers.checkpoints import PRETRAINED
from helpers.custom_data import NAMES, draw_shapes
from helpers.data import training_split
from helpers.tools import cores, distributed
from helpers.tools.arrays import save_checkpoint
from helpers.training import loop, trainer
from helpers.training.objective import TrainingConfig
from helpers.unet import UNetConfig


class Call:
    """What the command passed on to `train`."""

    def __init__(self, unet_config, config, images, labels, out, **options):
        self.unet_config, self.config, self.images, self.labels, self.out = unet_config, config, images, labels, out
        self.options = options


@pytest.fixture
def calls(monkeypatch):
    """Nothing is trained; the calls of `train` are noted."""
    calls = []
    monkeypatch.setattr(loop, "train", lambda *arguments, **options: calls.append(Call(*arguments, **options)))
    return calls


@pytest.fixture(autouse=True)
def in_an_empty_folder(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    return tmp_path


def test_without_options_it_is_the_recipe_of_the_pretrained_network(calls, mnist, capsys):
    assert main(["train", "--out", "new"]) == 0
    (call,) = calls
    assert (call.unet_config, call.config, str(call.out)) == (UNetConfig(), TrainingConfig(), "new")
    images, labels = training_split(mnist)
    np.testing.assert_array_equal(call.labels, labels)
    assert call.images.shape == images.shape
    assert call.options.pop("strategy") is tf.distribute.get_strategy()
    assert call.options == {"replace": False, "streams": 1, "data_name": "MNIST"}
    assert capsys.readouterr().out == "Done: new holds the trained network.\n"


RECIPE = {
    "steps": 5,
    "batch_size": 12,
    "optimizer": "adamw",
    "learning_rate": 0.5,
    "augmentation": 2.0,
    "augmented_from": 7,
    "label_dropout": 0.25,
    "schedule": "linear",
    "precision": "mixed_bfloat16",
    "seed": 3,
}
NETWORK = {"predicts": "noise", "widths": (8, 16), "embedding_width": 6}


def test_every_option_is_passed_on(calls):
    options = [f"--{name.replace('_', '-')}={value}" for name, value in (RECIPE | NETWORK).items() if name != "widths"]
    assert main(["train", "--out", "new", *options, "--widths", "8", "16", "--map-only", "--replace"]) == 0
    (call,) = calls
    assert call.config == TrainingConfig(**RECIPE)
    assert call.unet_config == UNetConfig(**NETWORK, class_in_embedding=False)
    assert call.options["replace"] is True


def test_every_core_has_a_stream(calls, monkeypatch):
    """As many pieces as `one_stream_per_core` says, or fewer if a device has only a part of the batch."""
    monkeypatch.setattr(cores, "one_stream_per_core", lambda batch_size: batch_size // 8)
    devices = SimpleNamespace(num_replicas_in_sync=1, cluster_resolver=None)
    monkeypatch.setattr(distributed, "make_strategy", lambda *_: devices)
    for devices.num_replicas_in_sync, streams in ((1, 6), (2, 3), (3, 2), (6, 1), (48, 1), (96, 1)):
        assert main(["train", "--out", "new", "--batch-size", "48"]) == 0
        assert calls.pop().options["streams"] == streams


def test_pictures_of_your_own(calls):
    pictures = draw_shapes(40, size=16)
    np.savez("shapes.npz", **pictures._asdict())
    assert main(["train", "--out", "new", "--data", "shapes.npz"]) == 0
    (call,) = calls
    assert call.unet_config == UNetConfig(image_size=16, channels=3, num_classes=4, class_names=NAMES)
    np.testing.assert_array_equal(call.images, pictures.images)
    np.testing.assert_array_equal(call.labels, pictures.labels)
    assert call.options["data_name"] == "shapes.npz"


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ([], "the following arguments are required: --out"),
        (["--out", "new", "--steps", "many"], "argument --steps: invalid int value: 'many'"),
        (["--out", "new", "--schedule", "square"], "argument --schedule: invalid choice: 'square'"),
        (["--out", "new", "--resume"], "unrecognized arguments: --resume"),
    ],
)
def test_a_command_line_that_cannot_be_understood(options, message, calls, capsys):
    with pytest.raises(SystemExit) as stop:
        main(["train", *options])
    error = capsys.readouterr().err
    assert stop.value.code == 2 and error.startswith("error: ") and message in error and error.count("\n") == 1
    assert not calls


@pytest.mark.parametrize(
    ("options", "message"),
    [
        (["--out", "file"], "--out must be a folder, not 'file'"),
        (["--out", "new", "--augmentation", "9"], "augmentation must be a finite number"),
        (["--out", "new", "--widths", "8", "0"], "widths must be 2 to 4 whole numbers in 1..512, not (8, 0)"),
        (["--out", "new", "--data", "none.npz"], "none.npz doesn't exist"),
        (["--out", "new", "--distribute", "multiworker"], "TF_CONFIG must be "),
        (
            ["--out", "finished"],
            "finished holds a finished network: choose another folder, or replace it with --replace",
        ),
        (["--out", "other"], "other/checkpoint.npz belongs to another recipe: steps 7, not 34000"),
    ],
)
def test_what_is_wrong_is_said_in_one_line(options, message, in_an_empty_folder, monkeypatch, capsys):
    monkeypatch.delenv("TF_CONFIG", raising=False)
    (in_an_empty_folder / "file").touch()
    shutil.copytree(PRETRAINED, "finished")
    recipe = trainer.recipe_of(UNetConfig(), TrainingConfig(steps=7))
    save_checkpoint(in_an_empty_folder / "other" / "checkpoint.npz", {}, {"recipe": recipe})
    before = sorted(in_an_empty_folder.rglob("*"))
    assert main(["train", *options]) == 2
    error = capsys.readouterr().err
    assert error.startswith("error: ") and message in error and error.count("\n") == 1
    assert sorted(in_an_empty_folder.rglob("*")) == before


@pytest.mark.parametrize(
    ("options", "resumes"),
    [([], "The same command resumes the training."), (["--replace"], "The same command without --replace resumes")],
)
def test_ctrl_c_says_how_to_resume(options, resumes, monkeypatch, capsys):
    def interrupted(*_, **__):
        raise KeyboardInterrupt("Stopped after step 7, saved in new.")

    monkeypatch.setattr(loop, "train", interrupted)
    assert main(["train", "--out", "new", *options]) == 130
    printed = capsys.readouterr()
    assert printed.err.startswith(f"Stopped after step 7, saved in new. {resumes}") and printed.err.count("\n") == 1
    assert printed.out == ""


def test_ctrl_c_before_the_first_step_promises_nothing(monkeypatch, capsys):
    def interrupted(*_, **__):
        raise KeyboardInterrupt

    monkeypatch.setattr(loop, "train", interrupted)
    assert main(["train", "--out", "new", "--replace"]) == 130
    assert capsys.readouterr().err == "Stopped.\n"
