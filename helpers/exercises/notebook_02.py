"""The self-checks of the exercises in notebook 02."""

import numpy as np

from helpers.diffusion import cosine_schedule, linear_schedule
from helpers.exercises.answers import number, self_check, whole_number, wrong_function, wrong_number


@self_check
def check_enough_steps(answer: object) -> str:
    """02.1: the smallest number of steps at which betas from 1e-4 to 0.02 leave less than 5 % of the signal."""
    steps = whole_number(answer, 1, 10_000)
    left = lambda count: np.prod(1 - np.linspace(1e-4, 0.02, count))  # noqa: E731 - alpha_bar at the end
    if left(steps) < 0.05**2 <= left(steps - 1):
        return "Right: that is why the famous betas work with a thousand steps, and can't with a hundred."
    if left(steps) < 0.05 <= left(steps - 1):
        return "Not yet: there 5 % of the *variance* is left, alpha_bar. The image is multiplied by its square root."
    few_or_many = "fewer are enough" if left(steps) < 0.05**2 else "that is too much"
    return f"Not yet: {steps:,} steps leave {np.sqrt(left(steps)):.2%} of the signal; {few_or_many}."


@self_check
def check_joined_beta(answer: object) -> str:
    """02.2: the beta of the one step that takes x_19 to x_39 on the cosine schedule."""
    schedule = cosine_schedule(100)
    bar = schedule.alpha_bars
    beta = 1 - bar[39] / bar[19]
    off_by_one = "you are off by one: `betas[20]` is the first step after x at t = 19, `betas[39]` the last."
    mistakes = [
        (1 - beta, "that is the share of the variance that is kept. Beta is the share that is added."),
        (schedule.betas[20:40].sum(), "you added the betas. But each step also shrinks the noise of those before it."),
        (1 - bar[39], "that is the jump from the clean image. Here the start is x at t = 19."),
        (1 - bar[39] / bar[20], off_by_one),
        (1 - bar[39] / bar[18], off_by_one),
        (1 - bar[38] / bar[19], off_by_one),
        (1 - bar[40] / bar[19], off_by_one),
        (np.sqrt(beta), "that is the standard deviation of the joined noise. Beta is its variance."),
        (1 - np.sqrt(1 - beta), "look at the factor of x at t = 19 again: it is a square root."),
        (np.prod(schedule.betas[20:40]), "it is the alphas that multiply, not the betas."),
    ]
    found, otherwise = number(answer), "which product of alphas stands in front of x at t = 19 after twenty steps?"
    if abs(found - beta) < 0.02:
        otherwise = "close, as a measurement is. The formula is exact: give at least four digits."
    return wrong_number(found, beta, mistakes, otherwise, rtol=2e-4) or (
        "Right: any stretch of the road is one step of the same form. Samplers that skip steps live on it."
    )


@self_check
def check_mean_from_noise(answer: object) -> str:
    """02.3: a function (x_t, noise, t) -> the posterior's mean on the cosine schedule, x_0 replaced by the noise."""
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
            "you added noise. Which sign has it in x_0, if x_t is known?",
        ),
        (
            lambda x, e, t: (x - beta[t] / sigma[t] * e) / np.sqrt(bar[t]),
            "one step divides by its own alpha, not by alpha_bar.",
        ),
        (
            lambda x, e, t: (x - np.sqrt(beta[t]) * e) / np.sqrt(alpha[t]),
            "that turns one step round, but with the noise of *all* steps in place of its own.",
        ),
        (
            lambda x, e, t: (x - np.sqrt(beta[t]) / sigma[t] * e) / np.sqrt(alpha[t]),
            "the beta of the posterior's mean has no root.",
        ),
        (
            lambda x, e, t: (x - sigma[t] * e) / np.sqrt(alpha[t]),
            "you took out all the noise at once. One step takes out its own part.",
        ),
        (lambda x, e, t: (x - sigma[t] * e) / np.sqrt(bar[t]), "that is x_0. Put it into the posterior's mean."),
        (
            lambda x, e, t: (x - beta[t] / sigma[t - 1] * e) / np.sqrt(alpha[t]),
            "your t is off by one: the step ends at t - 1, but the noise is that in x at t.",
        ),
        (
            lambda x, e, t: right(x, e, t - 1),
            "your t is off by one: the step ends at t - 1, but the noise is that in x at t.",
        ),
        (
            lambda x, e, t: (x - other.betas[t] / np.sqrt(1 - other.alpha_bars[t]) * e) / np.sqrt(other.alphas[t]),
            "that is on the linear schedule; the cosine one is asked for.",
        ),
    ]
    otherwise = (
        "put x_0 from the last formula into the posterior's mean, and collect x_t and noise. Check with `posterior`."
    )
    return wrong_function(answer, cases, right, mistakes, otherwise) or (
        "Right: that is line 4 of the paper's Algorithm 2. One step takes out a little of the predicted noise."
    )
