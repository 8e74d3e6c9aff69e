"""Break 20 lines of `helpers/`, one at a time, and see whether the tests notice.

    python -m tests.maintenance.mutants          # all 20, in minutes
    python -m tests.maintenance.mutants 3 7      # two of them

Each mutant is a plausible slip. The test named beside it is one of those that plain `pytest` runs. It runs in a copy of
the repository: first unchanged, where it must pass, and then with the slip, where it must fail.
"""

import argparse
import os
import shutil
import subprocess
import sys
import tempfile
from pathlib import Path
from typing import NamedTuple

from helpers.tools.checks import check_whole
from helpers.tools.command_line import CommandLine, run_command
from helpers.tools.files import ASSETS

ROOT = ASSETS.parent


class Mutant(NamedTuple):
    """One slip, and the test that should fail."""

    slip: str
    text: str  # the right code, which occurs once in all of `helpers/`
    slipped: str
    test: str  # file in `tests/`, and usually the one function in it


MUTANTS = [
    Mutant(
        "the noise is subtracted",
        "t) * x_0 + extract(np.sqrt(1 - schedule.alpha_bars), t) * noise",
        "t) * x_0 - extract(np.sqrt(1 - schedule.alpha_bars), t) * noise",
        "test_diffusion.py::test_velocity_is_a_rotation",
    ),
    Mutant(
        "the posterior's variance is beta",
        "self.betas * (1.0 - self.alpha_bars_before) / (1.0 - self.alpha_bars)",
        "self.betas + 0.0 * self.alpha_bars",
        "test_diffusion.py::test_posterior_is_the_product_of_two_gaussians",
    ),
    Mutant(
        "t may be one too large: > for >=",
        "(t < 0) | (t >= len(values))",
        "(t < 0) | (t > len(values))",
        "test_diffusion.py::test_t_outside_the_schedule",
    ),
    Mutant(
        "every epoch has the same order",
        "tf.stack([same + seed, epoch, same], axis=-1)",
        "tf.stack([same + seed, same, same], axis=-1)",
        "test_data.py::test_every_epoch_is_its_own_permutation",
    ),
    Mutant(
        "a residual block forgets its input",
        "return x + h",
        "return h",
        "test_unet.py::test_an_untrained_block_passes_its_input_on",
    ),
    Mutant(
        "no digit given looks like a zero",
        "one_hot = ops.one_hot(labels, num_classes)",
        "one_hot = ops.one_hot(ops.maximum(labels, 0), num_classes)",
        "test_unet.py::test_class_map",
    ),
    Mutant(
        "the last t is never drawn",
        "tf.cast(uniform * steps, tf.int32)",
        "tf.cast(uniform * (steps - 1), tf.int32)",
        "training/test_objective.py::test_every_step_is_drawn_and_labels_drop_one_by_one",
    ),
    Mutant(
        "a whole batch forgets its labels",
        "tf.where(uniform[:, 1] < config.label_dropout, -1, labels)",
        "tf.where(uniform[0, 1] < config.label_dropout, -1, labels)",
        "training/test_objective.py::test_every_step_is_drawn_and_labels_drop_one_by_one",
    ),
    Mutant(
        "networks are trained on the validation images, too",
        "mnist.train_images[:-VALIDATION_IMAGES], mnist.train_labels[:-VALIDATION_IMAGES]",
        "mnist.train_images, mnist.train_labels",
        "test_data.py::test_splits_do_not_overlap",
    ),
    Mutant(
        "the EMA follows the network where it should stay",
        "decay * slow + (1 - decay) * fast",
        "(1 - decay) * slow + decay * fast",
        "training/test_objective.py::test_ema_warms_up_and_then_keeps_its_decay",
    ),
    Mutant(
        "gradients are not clipped",
        "gradients, _ = tf.clip_by_global_norm(gradients, clip_norm)",
        "tf.clip_by_global_norm(gradients, clip_norm)",
        "training/test_trainer.py::test_the_gradient_is_clipped",
    ),
    Mutant(
        "a resumed training sees the first images again",
        "step, device = first_step + piece // local",
        "step, device = piece // local",
        "training/test_loop.py::test_resuming_gives_the_run_it_would_have_been",
    ),
    Mutant(
        "files are written in place",
        "        yield temporary\n        os.replace(temporary, path)",
        "        yield path",
        "tools/test_files.py",
    ),
    Mutant(
        "guidance by the other convention",
        "return noise_uncond + guidance_scale * (noise_cond - noise_uncond)",
        "return noise_cond + guidance_scale * (noise_cond - noise_uncond)",
        "sampling/test_sampler.py::test_guidance_formula",
    ),
    Mutant(
        "the predicted x_0 is not clipped",
        "x_0 = tf.clip_by_value(x_0, -1.0, 1.0)",
        "x_0 = tf.identity(x_0)",
        "sampling/test_sampler.py::test_the_loop_is_algorithm_2",
    ),
    Mutant(
        "sampling ends at t = 1, or starts before the last t",
        "np.rint(np.arange(steps, 0, -1) * schedule.steps / steps).astype(np.int32) - 1",
        "np.rint(np.arange(steps, 0, -1) * (schedule.steps - 1) / steps).astype(np.int32)",
        "sampling/test_solvers.py::test_sampling_times",
    ),
    Mutant(
        "the trace of the Frechet distance counts the root once",
        "- 2 * trace_of_root",
        "- trace_of_root",
        "evaluation/test_metrics.py::test_frechet_distance_of_known_gaussians",
    ),
    Mutant(
        "coverage's radius is the nearest neighbour's, not the k-th's",
        ".kneighbors()[0][:, -1]",
        ".kneighbors()[0][:, 0]",
        "evaluation/test_metrics.py::test_coverage_is_the_double_loop",
    ),
    Mutant(
        "a wrong axis",
        "matrix - matrix.mean(axis=0) if centre",
        "matrix - matrix.mean(axis=1) if centre",
        "evaluation/test_clip.py::test_prompt_matrix_is_the_mean_over_each_class",
    ),
    Mutant(
        "the tokenizer can't spell the end of every word",
        '[letter + "</w>" for letter in letters]',
        '[letter + "</w>" for letter in letters[:-100]]',
        "workshop/test_digit_clip.py::test_the_tokenizer_spells_any_text",
    ),
]


def module_of(mutant: Mutant, repository: Path) -> Path:
    """The one module that holds the text. Raises `ValueError` unless the text occurs once."""
    counts = {module: module.read_text().count(mutant.text) for module in (repository / "helpers").rglob("*.py")}
    if sum(counts.values()) != 1:
        raise ValueError(f"{mutant.text!r} is in helpers/ {sum(counts.values())} times, not once.")
    return max(counts, key=counts.get)


def run_tests(repository: Path, tests: list[str]) -> int:
    """pytest's exit code: 0 if all pass, 1 if one fails, anything else if they couldn't be run."""
    environment = {**os.environ, "PYTHONDONTWRITEBYTECODE": "1"}  # an old .pyc could hide a change within one second
    command = [sys.executable, "-m", "pytest", "-x", "-q", "-n0", "-p", "no:cacheprovider"]
    paths = [f"tests/{test}" for test in dict.fromkeys(tests)]
    return subprocess.run([*command, *paths], cwd=repository, env=environment, capture_output=True).returncode


def is_caught(mutant: Mutant, repository: Path) -> bool:
    """Whether the test fails with the slip, in a repository that is left as it was."""
    module = module_of(mutant, repository)
    right = module.read_text()
    module.write_text(right.replace(mutant.text, mutant.slipped))
    code = run_tests(repository, [mutant.test])
    module.write_text(right)
    if code not in (0, 1):
        raise RuntimeError(f"{mutant.test} couldn't be run: pytest's exit code is {code}.")
    return code == 1


def run(arguments: argparse.Namespace) -> None:
    """Try the chosen mutants. Raises `RuntimeError` if one survives."""
    chosen = arguments.numbers or range(1, len(MUTANTS) + 1)
    mutants = [MUTANTS[check_whole("NUMBER", number, 1, len(MUTANTS)) - 1] for number in chosen]
    with tempfile.TemporaryDirectory() as temporary:
        copy = Path(temporary) / "copy"
        shutil.copytree(ROOT, copy, ignore=shutil.ignore_patterns(".git", "__pycache__", "runs", "*.ipynb"))
        if run_tests(copy, [mutant.test for mutant in mutants]):
            raise RuntimeError("the tests must pass before anything is changed.")
        caught = 0
        for number, mutant in zip(chosen, mutants, strict=True):
            found = is_caught(mutant, copy)
            caught += found
            print(f"{number:2} {'caught  ' if found else 'SURVIVED'} {mutant.slip}", flush=True)
    print(f"{caught} of {len(mutants)}")
    if caught < len(mutants):
        raise RuntimeError("a mutant survived: a test must notice it.")


def main(arguments: list[str] | None = None) -> int:
    """Run the command; returns the exit code."""
    parser = CommandLine(prog="python -m tests.maintenance.mutants", description=__doc__.partition("\n")[0])
    parser.add_argument("numbers", nargs="*", type=int, metavar="NUMBER", help="of a mutant (default: all)")
    return run_command(run, parser.parse_args(arguments))


if __name__ == "__main__":
    sys.exit(main())
