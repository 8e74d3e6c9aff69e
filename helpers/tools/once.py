"""A cache for what takes long to make, such as a compiled network."""

import functools
import threading
from collections.abc import Callable
from typing import TypeVar

Made = TypeVar("Made")
KEPT = 8  # results of each function


def made_once(make: Callable[..., Made]) -> Callable[..., Made]:
    """Keep the last results of a function. Threads that ask for the same at the same time wait for one of them.

    `functools.lru_cache` alone would let each of them make its own.
    """
    cached, making = functools.lru_cache(maxsize=KEPT)(make), threading.Lock()

    @functools.wraps(make)
    def waiting(*arguments: object) -> Made:
        with making:
            return cached(*arguments)

    waiting.cache_clear = cached.cache_clear
    return waiting
