"""The self-checks of the exercises in notebook 01."""

import numpy as np

from helpers.exercises.answers import number, numbers, result, self_check, wrong_function, wrong_number

SEVENS = 6265  # in MNIST's training images, as notebook 01 counts them


@self_check
def check_quarters(answer: object) -> str:
    """01.1: how many different images the patch sampler can make at patch 14, a number."""
    if isinstance(answer, int) and answer > 10**300:
        return "Not yet: that is far too many. Is your exponent the number of pieces, not of pixels or of sevens?"
    mistakes = [
        (SEVENS, "that is how many sevens there are, so how many images come out at `patch = 28`."),
        (4 * SEVENS, "you added the choices. Each of them can be combined with every choice of the other pieces."),
        (SEVENS**2, "the patch is half as wide and half as high as the image. How many of them fill it?"),
        (60_000**4, "the pieces come from `sevens`, not from all the training images."),
    ]
    otherwise = "count the pieces of one image, and the choices for each piece."
    return wrong_number(number(answer), SEVENS**4, mistakes, otherwise, rtol=0.01) or (
        "Right: variety comes cheaply, from pieces that don't know of each other. At 28 every image is perfect, and "
        "none is new. A generator needs both."
    )


@self_check
def check_best_guess(answer: object) -> str:
    """01.2: (the guess with the smallest mean squared error, that error) for a pixel white in 40 % of the images."""
    guess, error = numbers(answer, 2)
    guesses = [
        (-1, "that is the most common value. It is right most often, but what do the other 40 % cost?"),
        (0, "that is the middle of the range, whatever the shares are. Black is more common than white here."),
        (0.2, "mind the sign: which of the two colours is more common, and where is it in [-1, 1]?"),
        (0.4, "that would be so if black were 0. In the network's range it isn't."),
        (102, "that is in bytes. Use the network's range."),
    ]
    errors = [
        (0.24, "that would be so if black were 0 and white 1. How far apart are they in [-1, 1]?"),
        (0.96**0.5, "that is a standard deviation. The mean *squared* error is asked for."),
        (1, "that is the error of guessing 0."),
        (0.04, "that is the square of the guess. How far is it from white, and how far from black?"),
    ]
    more = "that isn't the guess with the smallest error. Set the derivative of the mean squared error to zero."
    error_more = "the guess is right, the error isn't: 40 % of the squares are those of white, 60 % those of black."
    return (
        wrong_number(guess, -0.2, guesses, more)
        or wrong_number(error, 0.96, errors, error_more)
        or "Right: the best guess is the mean, a grey that the pixel never has. Squared error pays for fog."
    )


@self_check
def check_to_bytes(answer: object) -> str:
    """01.3: a function (x, mean, std) -> uint8 that undoes x = (p / 255 - mean) / std."""
    byte = np.arange(256)
    scales = [(0.1307, 0.3081), (0.5, 0.5)]
    inside = [(np.float32((byte / 255 - mean) / std), mean, std) for mean, std in scales]
    outside = [(np.array([-40.0, -3.0, 5.0, 40.0], np.float32), mean, std) for mean, std in scales]

    def right(x, mean, std):
        return np.clip(np.rint((x * std + mean) * 255), 0, 255)

    mistakes = [
        (lambda x, m, s: np.trunc((np.float32(x) * s + m) * 255), "some bytes are one too small: `astype` cuts off."),
        (lambda x, m, s: np.rint((x + m) * s * 255), "undo the last thing first: what was done to the pixel last?"),
        (lambda x, m, s: np.rint((x - m) / s * 255), "you scaled again. Solve the formula for p."),
        (lambda x, m, s: np.rint((x / s + m) * 255), "the formula divides by `std`; what undoes a division?"),
        (lambda x, m, s: x * s + m, "that is in 0..1. A byte goes up to 255."),
        (lambda x, m, s: np.rint((x + 1) * 127.5), "that undoes the course's own scaling, whatever `mean` and `std`."),
    ]
    otherwise = "the way back doesn't restore all bytes. Solve the formula for p, one operation at a time."
    if any(result(answer, case, (256,)).dtype == np.uint8 for case in inside):
        # Bytes have been cut off already, and wrapped round: compare with mistakes that went the same way.
        mistakes = [(lambda *c, wrong=wrong: wrong(*c).astype(np.int64) % 256, hint) for wrong, hint in mistakes]
    if problem := wrong_function(answer, inside, right, mistakes, otherwise, rtol=0):
        return problem
    hint = "all bytes come back, but a network's output may lie outside of the range: black must stay black."
    if problem := wrong_function(answer, outside, right, [], hint, rtol=0):
        return problem
    if result(answer, inside[0], (256,)).dtype != np.uint8:
        return "Not yet: the values are right, but a pixel is a byte: `uint8`."
    return "Right: undone in reverse order, rounded, clipped. With mean and std 0.5 it is the course's `to_pixels`."
