"""DOCKER_HOST=ssh://...: from the address to the command. tests/remote runs it."""

from __future__ import annotations

import pytest

from pytest_registry.clients.ssh import OPTIONS, Destination
from pytest_registry.errors import EngineUnavailable

DIAL = "docker system dial-stdio"


@pytest.mark.parametrize(
    ("address", "words"),
    [
        ("ssh://builder", ["--", "builder", DIAL]),
        (
            "ssh://me@builder.example:2222/",
            ["-l", "me", "-p", "2222", "--", "builder.example", DIAL],
        ),
        ("ssh://me@[fe80::1%eth0]:22", ["-l", "me", "-p", "22", "--", "fe80::1%eth0", DIAL]),
        (
            "ssh://builder/run/my docker.sock",
            ["--", "builder", "docker --host 'unix:///run/my docker.sock' system dial-stdio"],
        ),
    ],
)
def test_the_ssh_command_is_that_of_the_address(address: str, words: list[str]) -> None:
    destination = Destination.of({"DOCKER_HOST": address})
    assert destination is not None
    assert destination.command == ["ssh", *OPTIONS, *words]


@pytest.mark.parametrize("address", ["unix:///var/run/docker.sock", "tcp://ssh:2375", ""])
def test_other_addresses_need_no_ssh(address: str) -> None:
    assert Destination.of({"DOCKER_HOST": address}) is None
    assert Destination.of({}) is None


@pytest.mark.parametrize(
    "address",
    [
        "ssh://",
        "ssh://me@",
        "ssh://host:port",
        "ssh://me:the-secret@host",
        "ssh://-oProxyCommand=x",
    ],
)
def test_an_address_that_cannot_be_is_refused_and_never_shown(address: str) -> None:
    with pytest.raises(EngineUnavailable, match="DOCKER_HOST is no such address") as caught:
        Destination.of({"DOCKER_HOST": address})
    assert "secret" not in str(caught.value)
