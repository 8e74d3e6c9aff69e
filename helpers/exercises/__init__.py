"""The self-checks of the notebooks' exercises, `print(check_...(answer))`, and the patients of the break-it lab.

A check takes an answer and returns one sentence. For a right answer it says what the answer means. For a plausible
wrong one it gives a hint that names the slip but not the answer. None is "not answered yet". The right answers are
written out in these files, and tests compare them with the helpers. `notebooks/solutions/` has the reasoning.
"""

from helpers.exercises.broken import patient, symptoms
from helpers.exercises.notebook_01 import check_best_guess, check_quarters, check_to_bytes
from helpers.exercises.notebook_02 import check_enough_steps, check_joined_beta, check_mean_from_noise
from helpers.exercises.notebook_03 import check_block_parameters, check_reach, check_similarity
from helpers.exercises.notebook_04 import check_forget, check_half_life, check_zero_loss
from helpers.exercises.notebook_05 import check_conventions, check_ddim_step, check_times
from helpers.exercises.notebook_06 import check_enough_images, check_frechet, check_score

__all__ = [
    "check_quarters",
    "check_best_guess",
    "check_to_bytes",
    "check_enough_steps",
    "check_joined_beta",
    "check_mean_from_noise",
    "check_reach",
    "check_block_parameters",
    "check_similarity",
    "check_half_life",
    "check_forget",
    "check_zero_loss",
    "check_times",
    "check_conventions",
    "check_ddim_step",
    "check_enough_images",
    "check_score",
    "check_frechet",
    "patient",
    "symptoms",
]
