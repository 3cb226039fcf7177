"""What tests of encoders from elsewhere share: the hosts that are asked for."""

import socket

import pytest


@pytest.fixture
def asked(monkeypatch) -> list:
    """The hosts that are asked for meanwhile."""
    hosts: list = []

    def lookup(host, *arguments, **more):
        hosts.append(host)
        raise OSError("no network here")

    monkeypatch.setattr(socket, "getaddrinfo", lookup)
    return hosts
