"""The solvers: tables of numbers that turn a prediction of x_0 into the next image.

Each solver is a table that is known before sampling starts. It has a row for every step: the factors of x_t, of the
predicted x_0, of the x_0 predicted one step earlier, and of fresh noise in the next image,

    x_next = row[0] * x_t + row[1] * x_0 + row[2] * x_0_before + row[3] * noise

To add a solver, write its table and enter it in `METHODS` and `solver_table`. The loop that all of them share is in
`sampler`. Derived in notebook 05.
"""

import numpy as np

from helpers.diffusion import Schedule
from helpers.tools.checks import check_choice

METHODS = ("ddpm", "ddim", "dpm++")


def sampling_times(schedule: Schedule, steps: int) -> np.ndarray:
    """The t at which the network is evaluated: `(steps,)` int32, falling, evenly spaced, starting at the last step.

    "Trailing" spacing (Lin et al. 2024, section 3.3): sampling always starts where training saw the most noise.
    """
    return np.rint(np.arange(steps, 0, -1) * schedule.steps / steps).astype(np.int32) - 1


def scales_of_steps(times: np.ndarray, guidance_scale: float, interval: tuple[int, int] | None) -> np.ndarray:
    """The guidance scale at each of the times, `(steps,)`: a scale above 1 acts only for t inside the interval.

    Outside the interval the scale is 1, the conditional prediction (Kynkäänniemi et al. 2024). None: everywhere.
    Scales up to 1 don't exaggerate anything, and hold at every step.
    """
    if interval is None or guidance_scale <= 1:
        return np.full(len(times), guidance_scale)  # (steps,)
    first, last = interval
    return np.where((times >= first) & (times <= last), guidance_scale, 1.0)  # (steps,)


def nfe(scales: np.ndarray) -> int:
    """The number of function evaluations, network passes per image, for guidance scales `(steps,)`.

    Scale 0 or 1 takes one pass, any other scale two.
    """
    return len(scales) + int(np.sum((scales != 0) & (scales != 1)))


def _alpha_bars(schedule: Schedule, times: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """alpha_bar at each of the times and at the next one; after the last time comes the clean image, alpha_bar 1."""
    here = schedule.alpha_bars[times]  # (steps,)
    return here, np.append(here[1:], 1.0)  # (steps,)


def ancestral_table(schedule: Schedule, times: np.ndarray) -> np.ndarray:
    """Ho et al. 2020, Algorithm 2 with the posterior's mean and variance (eqs. 6, 7): `(steps, 4)` float64.

        x_next = sqrt(alpha) (1 - alpha_bar_next) / (1 - alpha_bar) x_t
                 + sqrt(alpha_bar_next) beta / (1 - alpha_bar) x_0 + sigma noise
        sigma^2 = beta (1 - alpha_bar_next) / (1 - alpha_bar)

    beta is that of the jump, alpha = 1 - beta = alpha_bar / alpha_bar_next, also between times that aren't neighbours.
    """
    alpha_bar, alpha_bar_next = _alpha_bars(schedule, times)
    beta = 1 - alpha_bar / alpha_bar_next
    from_x_t = np.sqrt(1 - beta) * (1 - alpha_bar_next) / (1 - alpha_bar)
    from_x_0 = np.sqrt(alpha_bar_next) * beta / (1 - alpha_bar)
    sigma = np.sqrt(beta * (1 - alpha_bar_next) / (1 - alpha_bar))
    return np.stack([from_x_t, from_x_0, np.zeros_like(beta), sigma], axis=-1)  # (steps, 4)


def ddim_table(schedule: Schedule, times: np.ndarray, eta: float) -> np.ndarray:
    """Song et al. 2021 (DDIM), eq. 12 with sigma from eq. 16: `(steps, 4)` float64. eta 0: no fresh noise.

        x_next = sqrt(alpha_bar_next) x_0 + sqrt(1 - alpha_bar_next - sigma^2) predicted_noise + sigma noise
        sigma^2 = eta^2 (1 - alpha_bar_next) / (1 - alpha_bar) (1 - alpha_bar / alpha_bar_next)

    The predicted noise is written as (x_t - sqrt(alpha_bar) x_0) / sqrt(1 - alpha_bar), so that it agrees with the
    clipped x_0.
    """
    alpha_bar, alpha_bar_next = _alpha_bars(schedule, times)
    sigma = eta * np.sqrt((1 - alpha_bar_next) / (1 - alpha_bar) * (1 - alpha_bar / alpha_bar_next))
    # eta = 1 at the last step is 1 - 1 - 0: rounding may put it a hair below zero.
    of_noise = np.sqrt(np.maximum(1 - alpha_bar_next - sigma**2, 0))
    from_x_t = of_noise / np.sqrt(1 - alpha_bar)
    from_x_0 = np.sqrt(alpha_bar_next) - from_x_t * np.sqrt(alpha_bar)
    return np.stack([from_x_t, from_x_0, np.zeros_like(sigma), sigma], axis=-1)  # (steps, 4)


def dpm_solver_table(schedule: Schedule, times: np.ndarray, eta: float) -> np.ndarray:
    """Lu et al. 2022 (DPM-Solver++), Algorithm 2 ("2M"), with a share of fresh noise: `(steps, 4)` float64.

        x_next = sqrt((1 - alpha_bar_next) / (1 - alpha_bar)) exp(-eta h) x_t
                 + sqrt(alpha_bar_next) (1 - exp(-(1 + eta) h)) D + sqrt((1 - alpha_bar_next) (1 - exp(-2 eta h))) noise
        D = (1 + 1 / (2 r)) x_0 - 1 / (2 r) x_0_before,  r = h_before / h

    h is the step in their lambda = log(sqrt(alpha_bar) / sqrt(1 - alpha_bar)), h_before that of the step before. eta 0
    is their solver without noise, 1 the one that they call SDE-DPM-Solver++(2M). Between them each step adds eta times
    the full variance of fresh noise, if the step is small. The first step has no earlier prediction, and the last one
    ends at zero noise, where h is infinite: both are first-order.
    """
    alpha_bar, alpha_bar_next = _alpha_bars(schedule, times)
    h = np.diff(schedule.logsnr[times] / 2)  # (steps - 1,)
    kept = np.append(np.exp(-h), 0.0)  # (steps,): exp(-h), also of the infinite step
    half_slope = np.zeros(len(times))  # 1 / (2 r)
    half_slope[1:-1] = h[1:] / (2 * h[:-1])
    from_x_t = np.sqrt((1 - alpha_bar_next) / (1 - alpha_bar)) * kept**eta
    of_prediction = np.sqrt(alpha_bar_next) * (1 - kept ** (1 + eta))
    sigma = np.sqrt((1 - alpha_bar_next) * (1 - kept ** (2 * eta)))
    return np.stack([from_x_t, of_prediction * (1 + half_slope), -of_prediction * half_slope, sigma], axis=-1)


def solver_table(schedule: Schedule, method: str, steps: int, eta: float = 0.0) -> tuple[np.ndarray, np.ndarray]:
    """(times `(steps,)`, table `(steps, 4)`) of a solver; `eta` is the share of fresh noise, of which "ddpm" has all.

    Raises `ValueError` unless `method` is one of `METHODS`.
    """
    check_choice("method", method, METHODS)
    times = sampling_times(schedule, steps)
    if method == "ddpm":
        return times, ancestral_table(schedule, times)
    return times, {"ddim": ddim_table, "dpm++": dpm_solver_table}[method](schedule, times, eta)
