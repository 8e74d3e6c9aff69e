"""A progress bar with the time that is left."""

import sys
from collections.abc import Iterable

from tqdm import tqdm


class _Bar(tqdm):
    """Its first note disappears with the first step."""

    waits = True

    def update(self, n: float = 1) -> bool | None:
        if self.waits:
            self.waits = False
            self.set_postfix_str("", refresh=False)
        return super().update(n)


def progress_bar(
    items: Iterable | None = None,
    *,
    total: int | None = None,
    done: int = 0,
    unit: str = "step",
    shown: bool = True,
    first: str = "",
) -> tqdm:
    """A bar over `items`, or over `total` steps of which `done` are behind us. It is drawn on standard error.

    `first` says what a long first step waits for.
    """
    hidden = not shown or sys.stderr is None  # None if it was closed
    return _Bar(items, total=total, initial=done, unit=unit, disable=hidden, mininterval=1, postfix=first or None)
