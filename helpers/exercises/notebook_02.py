"""The self-checks of the exercises in notebook 02."""

import numpy as np

from helpers.diffusion import cosine_schedule, linear_schedule
from helpers.exercises.answers import number, self_check, whole_number, wrong_function, wrong_number


@self_check
def check_enough_steps(answer: object) -> str:
    """02.1: the smallest number of steps for which betas from 1e-4 to 0.02 leave less than 5 % of the signal."""
    steps = whole_number(answer, 1, 10_000)
    left = lambda count: np.prod(1 - np.linspace(1e-4, 0.02, count))  # noqa: E731 - the last alpha_bar
    if left(steps) < 0.05**2 <= left(steps - 1):
        return "Right: that is why the famous betas work with a thousand steps but not with a hundred."
    if left(steps) < 0.05 <= left(steps - 1):
        return "Not yet: that leaves 5 % of the *variance*, alpha_bar. But the image is multiplied by its square root."
    verdict = "fewer steps are enough" if left(steps) < 0.05**2 else "that is too much"
    return f"Not yet: {steps:,} steps leave {np.sqrt(left(steps)):.2%} of the signal; {verdict}."


@self_check
def check_joined_beta(answer: object) -> str:
    """02.2: the beta of the single step from x_19 to x_39 on the cosine schedule."""
    schedule = cosine_schedule(100)
    bar = schedule.alpha_bars
    beta = 1 - bar[39] / bar[19]
    off_by_one = "you are off by one: the first step after t = 19 has `betas[20]`, the last one `betas[39]`."
    mistakes = [
        (1 - beta, "that is the share of the variance that the step keeps. Beta is the share that it adds."),
        (
            schedule.betas[20:40].sum(),
            "you added the betas. But each step also shrinks the noise of the earlier steps.",
        ),
        (1 - bar[39], "that is the jump from the clean image. This one starts from x at t = 19."),
        (1 - bar[39] / bar[20], off_by_one),
        (1 - bar[39] / bar[18], off_by_one),
        (1 - bar[38] / bar[19], off_by_one),
        (1 - bar[40] / bar[19], off_by_one),
        (np.sqrt(beta), "that is the standard deviation of the combined noise. Beta is its variance."),
        (1 - np.sqrt(1 - beta), "look again at the factor multiplying x at t = 19. It is a square root."),
        (np.prod(schedule.betas[20:40]), "multiply the alphas, not the betas."),
    ]
    found = number(answer)
    otherwise = "after twenty steps, x at t = 19 is multiplied by the root of a product of alphas. Which alphas?"
    if abs(found - beta) < 0.02:
        otherwise = "that is close, but only a measurement. Use the exact formula and give at least four digits."
    return wrong_number(found, beta, mistakes, otherwise, rtol=2e-4) or (
        "Right: any number of consecutive steps combine into one step of the same form. Fast samplers rely on this."
    )


@self_check
def check_mean_from_noise(answer: object) -> str:
    """02.3: a function (x_t, noise, t) -> the posterior's mean on the cosine schedule, written with the noise."""
    random = np.random.default_rng(2)
    cases = [(*random.standard_normal((2, 2, 28, 28, 1)), t) for t in (0, 1, 30, 70)]
    schedule, other = cosine_schedule(100), linear_schedule(100)
    beta, alpha, bar = schedule.betas, schedule.alphas, schedule.alpha_bars
    sigma = np.sqrt(1 - bar)  # the standard deviation of the noise in x_t

    def right(x, e, t):
        return (x - beta[t] / sigma[t] * e) / np.sqrt(alpha[t])

    mistakes = [
        (
            lambda x, e, t: (x + beta[t] / sigma[t] * e) / np.sqrt(alpha[t]),
            "you added the noise. Which sign does it have when you solve for x_0?",
        ),
        (
            lambda x, e, t: (x - beta[t] / sigma[t] * e) / np.sqrt(bar[t]),
            "a single step divides by the root of its own alpha, not of alpha_bar.",
        ),
        (
            lambda x, e, t: (x - np.sqrt(beta[t]) * e) / np.sqrt(alpha[t]),
            "that inverts a single step, but uses the noise of *all* steps instead of this step's own.",
        ),
        (
            lambda x, e, t: (x - np.sqrt(beta[t]) / sigma[t] * e) / np.sqrt(alpha[t]),
            "take no root of beta in the posterior's mean.",
        ),
        (
            lambda x, e, t: (x - sigma[t] * e) / np.sqrt(alpha[t]),
            "you removed all the noise at once. A single step removes only its own part.",
        ),
        (lambda x, e, t: (x - sigma[t] * e) / np.sqrt(bar[t]), "that is x_0. Substitute it into the posterior's mean."),
        (
            lambda x, e, t: (x - beta[t] / sigma[t - 1] * e) / np.sqrt(alpha[t]),
            "your t is off by one: the step ends at t - 1, but the noise is the one in x at t.",
        ),
        (
            lambda x, e, t: right(x, e, t - 1),
            "your t is off by one: the step ends at t - 1, but the noise is the one in x at t.",
        ),
        (
            lambda x, e, t: (x - other.betas[t] / np.sqrt(1 - other.alpha_bars[t]) * e) / np.sqrt(other.alphas[t]),
            "that uses the linear schedule. The exercise asks for the cosine schedule.",
        ),
    ]
    otherwise = (
        "substitute x_0 into the posterior's mean and collect the terms with x_t and noise. Check with `posterior`."
    )
    return wrong_function(answer, cases, right, mistakes, otherwise) or (
        "Right: that is line 4 of the paper's Algorithm 2. Each step removes a little of the predicted noise."
    )
