"""The port of a scorer: found free, and held, so that no other program shares it without a word."""

import contextlib
import socket
from collections.abc import Iterator

from embeddings.errors import InputError, first_line


@contextlib.contextmanager
def held_port(host: str, port: int) -> Iterator[list[str]]:
    """The addresses of ``host``, of which ``port`` is ours meanwhile: our workers may listen there, nobody else may.

    Workers share the port with whoever else asks to (SO_REUSEPORT), another scorer too, and connections would go to
    either. So a first socket finds out whether the port is free without sharing, and a second one, which does not
    listen, makes it taken for others who look in this way.

    Raises InputError where it is taken, or the host is none of this machine.
    """
    with contextlib.ExitStack() as held:
        try:
            addresses = _addresses(host, port)
            for family, address in addresses:
                with _bound(family, address, socket.SO_REUSEADDR):
                    pass
                held.enter_context(_bound(family, address, socket.SO_REUSEPORT))
        except (OSError, OverflowError, UnicodeError) as error:
            raise InputError(
                f"{host}:{port} cannot be listened on ({first_line(error)}); end what has the port, or name another "
                f"one by --port, or another address by --host"
            ) from None
        yield [str(address[0]) for _, address in addresses]


def _addresses(host: str, port: int) -> list[tuple[socket.AddressFamily, tuple]]:
    """A name such as localhost has one or two."""
    found = socket.getaddrinfo(host, port, type=socket.SOCK_STREAM, flags=socket.AI_PASSIVE)
    return list(dict.fromkeys((family, address) for family, _, _, _, address in found))


def _bound(family: socket.AddressFamily, address: tuple, option: int) -> socket.socket:
    bound = socket.socket(family, socket.SOCK_STREAM)
    try:
        if family == socket.AF_INET6:
            bound.setsockopt(socket.IPPROTO_IPV6, socket.IPV6_V6ONLY, 1)  # as asyncio does
        bound.setsockopt(socket.SOL_SOCKET, option, 1)
        bound.bind(address)
    except BaseException:
        bound.close()
        raise
    return bound
