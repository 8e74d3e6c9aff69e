"""The self-checks of the exercises in notebook 01."""

import math

import numpy as np

from helpers.exercises.answers import number, numbers, result, self_check, wrong_function, wrong_number

SEVENS = 6265  # among MNIST's training images
DIFFERENT_CORNERS = 5843  # different lower-left quarters of them: 422 are empty, and so alike


@self_check
def check_quarters(answer: object) -> str:
    """01.1: the number of ways in which the patch sampler can choose its pieces with patch = 14."""
    if isinstance(answer, int) and answer > 10**300:
        return "Not yet: that is far too many. The exponent should be the number of pieces, not of pixels or sevens."
    mistakes = [
        (SEVENS, "that is the number of sevens, and so the number of images with `patch = 28`."),
        (4 * SEVENS, "you added the choices. But each choice can be combined with every choice for the other pieces."),
        (SEVENS**2, "a patch is half as wide and half as high as the image. How many patches fill the image?"),
        (60_000**4, "the pieces come from `sevens`, not from all training images."),
        (
            math.perm(SEVENS, 4),
            "may two pieces come from the same seven? Look at how the code draws them.",
        ),
        (
            DIFFERENT_CORNERS * SEVENS**3,
            "that counts different images, and some sevens have the same empty corner. Count the choices.",
        ),
    ]
    otherwise = "count the pieces of one image and the choices for each piece."
    return wrong_number(number(answer), SEVENS**4, mistakes, otherwise, rtol=5e-4) or (
        "Right: independent pieces make variety cheap. With patch = 28 every image is perfect, but none is new. "
        "A generator needs both quality and variety."
    )


@self_check
def check_best_guess(answer: object) -> str:
    """01.2: (the guess with the smallest mean squared error, this error) for a pixel, white in 40 % of images."""
    guess, error = numbers(answer, 2)
    guesses = [
        (-1, "that is the most common value. It is right most often, but what does it cost in the other 40 %?"),
        (0, "that is the middle of the range. But black is more common than white here."),
        (0.2, "check the sign: which of the two colours is more common, and what is its value in [-1, 1]?"),
        (0.4, "that would be right if black were 0. In the network's range it isn't."),
        (102, "that is a byte value. Use the network's range."),
    ]
    errors = [
        (0.24, "that would be right if black were 0 and white 1. How far apart are they in [-1, 1]?"),
        (0.96**0.5, "that is a standard deviation. The exercise asks for the mean *squared* error."),
        (1, "that is the error of guessing 0."),
        (0.04, "that is the square of the guess. How far is the guess from white, and how far from black?"),
    ]
    more = "another guess has a smaller error. Set the derivative of the mean squared error to zero."
    error_more = (
        "the guess is right, but the error isn't. Weight the squared error at white by 40 % and at black by 60 %."
    )
    return (
        wrong_number(guess, -0.2, guesses, more)
        or wrong_number(error, 0.96, errors, error_more)
        or "Right: the best guess is the mean, a grey that never occurs in this pixel. Squared error rewards fog."
    )


@self_check
def check_to_bytes(answer: object) -> str:
    """01.3: a function (x, mean, std) -> uint8 that undoes x = (p / 255 - mean) / std."""
    byte = np.arange(256).reshape(2, 16, 8)  # images have several axes, and so must the result
    scales = [(0.1307, 0.3081), (0.5, 0.5)]
    inside = [(np.float32((byte / 255 - mean) / std), mean, std) for mean, std in scales]
    outside = [(np.array([-40.0, -3.0, 5.0, 40.0], np.float32), mean, std) for mean, std in scales]

    def right(x, mean, std):
        return np.clip(np.rint((x * std + mean) * 255), 0, 255)

    mistakes = [
        (
            lambda x, m, s: np.trunc((np.float32(x) * s + m) * 255),
            "some bytes are one too small, because `astype` cuts off the decimals.",
        ),
        (lambda x, m, s: np.rint((x + m) * s * 255), "undo the last operation first. What was done to the pixel last?"),
        (
            lambda x, m, s: np.rint((x - m) / s * 255),
            "that scales the pixel once more. Solve the formula for p instead.",
        ),
        (lambda x, m, s: np.rint((x / s + m) * 255), "the formula divides by `std`. What undoes a division?"),
        (lambda x, m, s: x * s + m, "that lies in 0..1, but a byte goes up to 255."),
        (
            lambda x, m, s: np.rint((x + 1) * 127.5),
            "that undoes the course's own scaling and ignores `mean` and `std`.",
        ),
    ]
    otherwise = "your function doesn't restore all bytes. Solve the formula for p, one operation at a time."
    if any(result(answer, case, byte.shape).dtype == np.uint8 for case in inside):
        # The values have been cut off and wrapped around already, so do the same to the mistakes.
        mistakes = [(lambda *c, wrong=wrong: wrong(*c).astype(np.int64) % 256, hint) for wrong, hint in mistakes]
    if problem := wrong_function(answer, inside, right, mistakes, otherwise, rtol=0):
        return problem
    hint = "all bytes are restored, but a network's output may lie outside the range. Black must stay black."
    if problem := wrong_function(answer, outside, right, [], hint, rtol=0):
        return problem
    if result(answer, inside[0], byte.shape).dtype != np.uint8:
        return "Not yet: the values are right, but a pixel is a byte. Return `uint8`."
    return "Right: undo the operations in reverse order, round, and clip. With mean = std = 0.5 this is `to_pixels`."
