"""Settings of services over HTTP, as the command line gives them to their processes."""

import ipaddress
from collections.abc import Mapping
from dataclasses import dataclass, field

from serve.policy import DEFAULT_LIMITS, DEFAULT_POLICY, Limits, Policy

_LOOPBACK = frozenset({"localhost", "127.0.0.1", "::1"})


@dataclass(frozen=True, kw_only=True)
class Listening:
    """What every service over HTTP is told: where it listens, and within which bounds.

    body_bytes  of a request, at most; more is refused before it is read
    waiting     requests that a process lets wait, at most; 429 beyond
    connections  that a process has open, at most; one more is closed at once
    timeout_s   that a request may wait for its answer, 503 beyond; that its body may take to come, 408 beyond; and that
                its answer may take to be taken, after which its connection is closed
    grace_s     for requests that are under way when the service is told to end
    poll_s      between looks for a new version
    token       that requests have to bring, if any
    hosts       names that a request's Host may have; empty: see ``allowed_hosts``
    """

    host: str = "127.0.0.1"
    port: int = 8600
    body_bytes: int = 4 << 20
    waiting: int = 64
    connections: int = 1000
    timeout_s: float = 5.0
    grace_s: float = 10.0
    poll_s: float = 1.0
    token: str | None = None
    hosts: tuple[str, ...] = ()

    @property
    def allowed_hosts(self) -> frozenset[str]:
        """``hosts`` or, on a loopback address, the names of that: a page of elsewhere could make its own name point
        here, and have a browser on this machine ask. Empty: any.
        """
        if self.hosts:
            return frozenset(host.lower().strip("[]") for host in self.hosts)
        return _LOOPBACK | {self.host} if self.is_local else frozenset()

    @property
    def address(self) -> str:
        """The URL of its root."""
        return f"http://[{self.host}]:{self.port}" if ":" in self.host else f"http://{self.host}:{self.port}"

    @property
    def is_local(self) -> bool:
        """Whether nobody outside of this machine can ask."""
        try:
            return ipaddress.ip_address(self.host).is_loopback
        except ValueError:
            return self.host == "localhost"


@dataclass(frozen=True, kw_only=True)
class Settings(Listening):
    """Of a scorer.

    model       folder of an exported model
    stores      modality -> folder of its frozen store, where it is not where it lay at the export
    slow_ms     from which a request is logged
    items       parquet files, or folders of them, with facts of items for the page
    page        whether there is one
    """

    model: str
    stores: Mapping[str, str] = field(default_factory=dict)
    policy: Policy = DEFAULT_POLICY
    limits: Limits = DEFAULT_LIMITS
    processes: int = 1
    slow_ms: float = 250.0
    items: tuple[str, ...] = ()
    page: bool = True
