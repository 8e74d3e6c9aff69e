"""Ctrl-C, SIGTERM and SIGHUP: noted, delayed, raised or ignored. Real signals, sent to this process."""

import signal
import threading

import pytest

from helpers.tools import signals
from helpers.tools.signals import handlers_kept, ignore_stops, stops_delayed, stops_noted, stops_raised

STOPS = [getattr(signal, name) for name in ("SIGINT", "SIGTERM", "SIGHUP", "SIGBREAK") if hasattr(signal, name)]


class Arrived(Exception):
    """A signal reached the handler of before."""


@pytest.fixture(autouse=True)
def handlers():
    """The handlers before the test, which are back after it; all of them raise, so that no slip ends the tests."""

    def unexpected(number, frame):
        raise Arrived(f"signal {number} arrived")

    itself = {one: signal.signal(one, unexpected) for one in STOPS}
    yield {one: unexpected for one in STOPS}
    for one, handler in itself.items():
        signal.signal(one, handler)


def now():
    return {one: signal.getsignal(one) for one in STOPS}


@pytest.mark.parametrize("stop", STOPS)
def test_a_signal_is_noted_and_more_of_them_change_nothing(stop, handlers):
    with stops_noted() as stopped:
        assert not stopped.is_set()
        for one in [stop, stop, *STOPS]:
            signal.raise_signal(one)
            assert stopped.is_set()
    assert now() == handlers


@pytest.mark.parametrize("stop", STOPS)
def test_a_signal_is_raised_like_ctrl_c(stop, handlers):
    with pytest.raises(KeyboardInterrupt) as raised, stops_raised() as stopped:
        try:
            signal.raise_signal(stop)
        except KeyboardInterrupt as error:
            assert error.args == () and stopped.is_set()
            raise
    assert raised.value.args == () and now() == handlers


def test_no_signal_is_no_stop():
    with stops_raised() as raised, stops_noted() as noted:
        pass
    assert not raised.is_set() and not noted.is_set()


@pytest.mark.parametrize("stop", STOPS)
def test_a_delayed_signal_arrives_at_the_end(stop, handlers):
    done = []
    with pytest.raises(Arrived, match=f"signal {stop:d} arrived"), stops_delayed():
        signal.raise_signal(stop)
        signal.raise_signal(stop)
        done.append("all of the block")
    assert done and now() == handlers
    with stops_delayed():
        pass  # and none arrives of itself


def test_a_delayed_signal_reaches_who_waits_outside():
    with stops_noted() as stopped:
        with stops_delayed():
            signal.raise_signal(signal.SIGTERM)
            assert not stopped.is_set()
        assert stopped.is_set()


@pytest.mark.parametrize("answer", [stops_noted, stops_raised, stops_delayed, handlers_kept])
def test_the_handlers_are_put_back_after_an_error(answer, handlers):
    with pytest.raises(ValueError, match="in the middle"), answer():
        raise ValueError("in the middle")
    assert now() == handlers


def test_handlers_that_other_code_replaces_are_put_back(handlers):
    with handlers_kept():
        assert now() == handlers
        signal.signal(signal.SIGTERM, signal.SIG_IGN)
        signal.signal(signal.SIGINT, signal.SIG_DFL)
    assert now() == handlers


@pytest.mark.parametrize("answer", [stops_noted, stops_raised, stops_delayed])
@pytest.mark.parametrize("ignored", STOPS)
def test_an_inherited_ignore_is_kept(answer, ignored):
    """As `nohup` ignores SIGHUP, and a shell without job control SIGINT in the background."""
    signal.signal(ignored, signal.SIG_IGN)
    with answer():
        assert signal.getsignal(ignored) == signal.SIG_IGN
        signal.raise_signal(ignored)
    assert signal.getsignal(ignored) == signal.SIG_IGN


def test_a_handler_that_is_not_pythons(monkeypatch):
    """Python doesn't know it, and can't put it back; the default is left, not an error."""
    with monkeypatch.context() as patch:
        patch.setattr(signals.signal, "getsignal", lambda _: None)
        with stops_noted() as stopped:
            signal.raise_signal(signal.SIGINT)
            assert stopped.is_set()
    assert set(now().values()) == {signal.SIG_DFL}


@pytest.mark.parametrize("answer", [stops_noted, stops_raised, stops_delayed, handlers_kept])
def test_another_thread_works_without_a_handler(answer, handlers):
    seen = []

    def work():
        with answer():
            seen.append(now())

    thread = threading.Thread(target=work)
    thread.start()
    thread.join()
    assert seen == [handlers]


@pytest.mark.parametrize("stop", STOPS)
def test_at_the_end_signals_are_ignored(stop):
    ignore_stops()
    signal.raise_signal(stop)


def test_windows_has_no_sighup(monkeypatch):
    monkeypatch.delattr(signal, "SIGHUP", raising=False)
    monkeypatch.setattr(signal, "SIGBREAK", signal.SIGTERM, raising=False)
    with stops_noted() as stopped:
        signal.raise_signal(signal.SIGTERM)
        assert stopped.is_set()
