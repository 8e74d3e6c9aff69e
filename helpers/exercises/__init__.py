"""The self-checks of the notebooks' exercises, `print(check_...(answer))`, and the patients of the break-it lab.

A check takes an answer and returns a short reply. If the answer is right, the reply says what it means. If it is a
plausible mistake, the reply is a hint that names the mistake but doesn't reveal the answer. None means "not answered
yet". These files contain the right answers, and tests compare them with the helpers. `notebooks/solutions/` explains
them.
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
