"""Tools of the exercises' self-checks: they read an answer and choose the reply.

An answer is a number, several numbers, or a function. The reader always gets a short reply, never a traceback:
"Right: ...", "Not yet: ..." with a hint, or "Not answered yet." The checks themselves are in `notebook_01` to
`notebook_06`.
"""

import copy
import functools
import io
import warnings
from collections.abc import Callable, Sequence
from contextlib import redirect_stderr, redirect_stdout

import numpy as np

PENDING = "Not answered yet."


class NoAnswer(Exception):
    """The exercise hasn't been answered yet."""


class Unusable(ValueError):
    """The answer can't be checked. The message completes the sentence that begins with "Not yet: "."""


def self_check(check: Callable[[object], str]) -> Callable[[object], str]:
    """A check that never raises an error: it returns `PENDING` for None, and "Not yet: ..." for an unusable answer."""

    @functools.wraps(check)
    def checked(answer: object) -> str:
        if answer is None:
            return PENDING
        try:
            return check(answer)
        except NoAnswer:
            return f"{PENDING[:-1]}: the function returns None."
        except Unusable as problem:
            return f"Not yet: {problem}"
        except Exception as error:  # an object of the reader's own class, or what a function returned, may do anything
            return f"Not yet: the answer can't be read, {type(error).__name__}: {_first_line(error)}."

    return checked


def _first_line(value: object) -> str:
    return (str(value).strip().splitlines() or ["no message"])[0][:100]


def numbers(answer: object, count: int) -> np.ndarray:
    """The answer as `(count,)` float64, all finite. Raises `Unusable` for anything else."""
    wanted = "one number" if count == 1 else f"{count} numbers"
    if isinstance(answer, str | bytes) or callable(answer):
        raise Unusable(f"the answer should be {wanted}, not {_first_line(repr(answer))}.")
    try:
        values = np.asarray(answer)
        if values.dtype == bool or np.iscomplexobj(values):
            raise TypeError
        values = values.astype(np.float64).reshape(-1)
    except OverflowError:
        raise Unusable("that number is too large to check, and far too large to be right.") from None
    except (TypeError, ValueError):
        raise Unusable(f"the answer should be {wanted}, not {_first_line(repr(answer))}.") from None
    if len(values) != count:
        raise Unusable(f"the answer should be {wanted}, not {len(values)}.")
    if not np.isfinite(values).all():
        raise Unusable("the answer should be finite, not infinite or NaN.")
    return values


def number(answer: object) -> float:
    """The answer as one finite float. Raises `Unusable` for anything else."""
    return float(numbers(answer, 1)[0])


def whole_number(answer: object, lowest: int, highest: int) -> int:
    """The answer as a whole number in lowest..highest. Raises `Unusable` for anything else."""
    value = number(answer)
    if value != round(value) or not lowest <= value <= highest:
        raise Unusable(f"the answer should be a whole number in {lowest:,}..{highest:,}, not {value:,.10g}.")
    return int(value)


class _Paper(io.TextIOBase):
    """Takes what a function prints, up to a limit: one that prints for ever is stopped."""

    def __init__(self) -> None:
        self.left = 100_000  # characters

    def write(self, text: str) -> int:
        self.left -= len(text)
        if self.left < 0:
            raise Unusable("your function prints without end.")
        return len(text)


def result(function: object, arguments: Sequence, shape: tuple[int, ...] = ()) -> np.ndarray:
    """The result of a reader's function for copies of the arguments, as an array of `shape`, all finite.

    Raises `NoAnswer` if it returns None, and `Unusable` if it isn't a function, raises an error, or returns anything
    else.
    """
    if not callable(function):
        raise Unusable(f"pass the function itself, by its name without brackets, not {type(function).__name__}.")
    try:
        with np.errstate(all="ignore"), warnings.catch_warnings(), redirect_stdout(_Paper()), redirect_stderr(_Paper()):
            warnings.simplefilter("ignore")
            returned = function(*copy.deepcopy(list(arguments)))
            values = None if returned is None else np.asarray(returned)
    except Unusable:
        raise
    except BaseException as error:  # a reader's code may raise anything, and call `exit()`
        raise Unusable(f"your function stopped with {type(error).__name__}: {_first_line(error)}") from None
    if values is None:
        raise NoAnswer
    if not (np.issubdtype(values.dtype, np.integer) or np.issubdtype(values.dtype, np.floating)):
        raise Unusable(f"your function should return numbers, not {_first_line(repr(returned))}.")
    if shape == () and values.size == 1:
        values = values.reshape(())
    if values.shape != shape:
        raise Unusable(f"your function should return shape {shape} here, not {values.shape}.")
    if not np.isfinite(values).all():
        raise Unusable("your function returned infinity or NaN.")
    return values


def same(found: object, wanted: object, rtol: float) -> bool:
    """Whether two numbers or arrays agree to within `rtol` times the largest expected magnitude."""
    found, wanted = np.asarray(found, np.float64), np.asarray(wanted, np.float64)
    return found.shape == wanted.shape and bool(np.all(np.abs(found - wanted) <= rtol * np.abs(wanted).max()))


def wrong_number(
    found: object, right: object, mistakes: Sequence[tuple[object, str]], otherwise: str, rtol: float = 2e-3
) -> str | None:
    """None if `found`, a number or an array, is right; else "Not yet: " with a hint.

    `mistakes` pairs wrong values with their hints. Any other wrong value gets the hint `otherwise`.
    """
    if same(found, right, rtol):
        return None
    return "Not yet: " + next((hint for wrong, hint in mistakes if same(found, wrong, rtol)), otherwise)


def wrong_function(
    function: object,
    cases: Sequence[tuple],
    right: Callable,
    mistakes: Sequence[tuple[Callable, str]],
    otherwise: str,
    rtol: float = 2e-3,
) -> str | None:
    """The same for a function, which is called, like each mistake, with the arguments of every case.

    A mistake gives its hint only if it agrees with the function in every case.
    """
    wanted = [np.asarray(right(*case)) for case in cases]
    found = [result(function, case, array.shape) for case, array in zip(cases, wanted, strict=True)]
    agrees = lambda values: all(same(f, v, rtol) for f, v in zip(found, values, strict=True))  # noqa: E731
    if agrees(wanted):
        return None
    with np.errstate(all="ignore"):  # a mistake may divide by zero
        hints = (hint for wrong, hint in mistakes if agrees([wrong(*case) for case in cases]))
        return "Not yet: " + next(hints, otherwise)
