"""Stopping at Ctrl-C, SIGTERM or SIGHUP without losing work."""

import signal
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager


def _stop_signals() -> list[signal.Signals]:
    """The signals that ask a process to stop, except those that it inherited as ignored (nohup)."""
    names = ("SIGINT", "SIGTERM", "SIGHUP", "SIGBREAK")  # Windows has no SIGHUP, and only Windows has SIGBREAK
    signals = [getattr(signal, name) for name in names if hasattr(signal, name)]
    return [one for one in signals if signal.getsignal(one) != signal.SIG_IGN]


@contextmanager
def _handled_by(handler: Callable[..., None] | None) -> Iterator[None]:
    """Let `handler` answer the signals while the block runs, or for None whoever answers them now."""
    if threading.current_thread() is not threading.main_thread():  # Python allows handlers only there
        yield
        return
    before = {one: signal.getsignal(one) for one in _stop_signals()}
    try:
        if handler is not None:
            for one in before:
                signal.signal(one, handler)
        yield
    finally:
        for one, old in before.items():
            signal.signal(one, signal.SIG_DFL if old is None else old)  # None: it wasn't Python's


@contextmanager
def stops_raised() -> Iterator[threading.Event]:
    """SIGTERM and SIGHUP raise `KeyboardInterrupt`, as Ctrl-C does, and set the event.

    Some libraries turn an exception raised during their import into another error; the event still tells.
    """
    stopped = threading.Event()

    def stop(*_: object) -> None:
        stopped.set()
        raise KeyboardInterrupt

    with _handled_by(stop):
        yield stopped


@contextmanager
def stops_noted() -> Iterator[threading.Event]:
    """Ctrl-C, SIGTERM and SIGHUP only set the event, so that no step and no saving is left half done.

    A second signal changes nothing: what runs in the block ends by itself, within a step and a save.
    """
    stopped = threading.Event()
    with _handled_by(lambda *_: stopped.set()):
        yield stopped


@contextmanager
def stops_delayed() -> Iterator[None]:
    """Ctrl-C, SIGTERM and SIGHUP wait for the end of the block, and then do what they would have done."""
    came: list[int] = []
    try:
        with _handled_by(lambda number, _: came.append(number)):
            yield
    finally:
        if came:
            signal.raise_signal(came[0])


@contextmanager
def handlers_kept() -> Iterator[None]:
    """Put back the handlers of signals that C code in the block replaces, which Python doesn't notice."""
    with _handled_by(None):
        yield


def ignore_stops() -> None:
    """From now on a signal changes nothing: the process is about to end, and has said why."""
    for one in _stop_signals():
        signal.signal(one, signal.SIG_IGN)
