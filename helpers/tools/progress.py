"""A progress bar with the time that is left."""

from collections.abc import Iterable

from tqdm import tqdm


def progress_bar(
    items: Iterable | None = None, *, total: int | None = None, done: int = 0, unit: str = "step", shown: bool = True
) -> tqdm:
    """A bar over `items`, or over `total` steps of which `done` are behind us. It is drawn on standard error."""
    return tqdm(items, total=total, initial=done, unit=unit, disable=not shown, mininterval=1)
