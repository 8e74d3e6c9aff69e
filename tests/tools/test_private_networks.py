"""Workers of a public network are refused unless they are asked for: their ports know no password."""

import socket

import pytest

from helpers.__main__ import main
from helpers.tools import distributed
from helpers.tools.distributed import (
    make_strategy,
)
from tests.conftest import said
from tests.maintenance.browser import free_ports
from tests.tools.clusters import slurm_job, tf_config

NAMES = {"here": ["127.0.1.1"], "lab": ["10.1.2.3"], "example.org": ["93.184.215.14"], "both": ["10.0.0.1", "8.8.8.8"]}


@pytest.fixture
def resolver(monkeypatch):
    """Numbers are looked up as ever; of names only these are known."""
    itself = socket.getaddrinfo

    def look_up(host, *rest, **options):
        if host in NAMES:
            return [found for address in NAMES[host] for found in itself(address, *rest, **options)]
        return itself(host, *rest, flags=socket.AI_NUMERICHOST, **options)

    monkeypatch.setattr(socket, "getaddrinfo", look_up)


PRIVATE = ["127.0.0.1", "10.9.8.7", "172.16.0.1", "192.168.1.2", "169.254.0.1", "[::1]", "[fd00::1]", "[fe80::1%lo]"]
PRIVATE += ["[::ffff:10.0.0.1]", "here", "lab"]
PUBLIC = ["8.8.8.8", "172.32.0.1", "192.169.0.1", "[2001:4860:4860::8888]", "[::ffff:8.8.8.8]", "0.0.0.0", "[::]"]
PUBLIC += ["100.64.0.1", "134744072", "example.org", "both"]


@pytest.mark.parametrize("host", PRIVATE)
def test_workers_on_a_private_network(host, monkeypatch, connected, resolver):
    [port] = free_ports(1)
    monkeypatch.setenv("TF_CONFIG", tf_config([f"127.0.0.1:{port}", f"{host}:2222"]))
    assert make_strategy("multiworker") == "the strategy" and len(connected) == 1


@pytest.mark.parametrize("host", PUBLIC)
def test_workers_on_a_public_network_need_an_option(host, monkeypatch, connected, resolver, tmp_path, capsys):
    [port] = free_ports(1)
    monkeypatch.setenv("TF_CONFIG", tf_config([f"127.0.0.1:{port}", f"{host}:2222"]))
    command = ["train", "--distribute", "multiworker", "--out", str(tmp_path)]
    assert main(command) == 2 and not connected
    error = capsys.readouterr().err
    assert error.startswith(f"error: the worker {host}:2222 isn't on a private network") and error.count("\n") == 1
    assert "--public-network" in error
    assert make_strategy("multiworker", public_network=True) == "the strategy" and len(connected) == 1


def test_the_option_reaches_the_strategy(monkeypatch, tmp_path, capsys):
    asked = []

    def refuse(*arguments):
        asked.append(arguments)
        raise ValueError("asked")

    monkeypatch.setattr(distributed, "make_strategy", refuse)
    command = ["train", "--distribute", "multiworker", "--out", str(tmp_path)]
    assert main(command) == main([*command, "--public-network"]) == 2
    assert asked == [("multiworker", False), ("multiworker", True)]


def test_a_worker_that_cannot_be_found(monkeypatch, connected, resolver):
    monkeypatch.setenv("TF_CONFIG", tf_config(["nowhere:2222"]))
    with pytest.raises(ValueError, match=r"^the worker nowhere:2222 can't be found: ") as raised:
        make_strategy("multiworker")
    assert said(raised) and not connected


def test_slurms_machines_are_looked_up_too(monkeypatch, connected, resolver):
    for name, value in (slurm_job(1)[0] | {"SLURM_STEP_NODELIST": "example.org"}).items():
        monkeypatch.setenv(name, value)
    with pytest.raises(ValueError, match=r"^the worker example.org:\d+ isn't on a private network"):
        make_strategy("slurm")
    monkeypatch.setenv("SLURM_STEP_NODELIST", "lab")
    assert make_strategy("slurm") == "the strategy" and len(connected) == 1
