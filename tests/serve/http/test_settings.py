"""Which names a Host may have, and who can ask."""

import pytest

from serve.http.settings import Settings


@pytest.mark.parametrize(
    ("host", "hosts", "local", "allowed"),
    [
        ("127.0.0.1", (), True, {"localhost", "127.0.0.1", "::1"}),
        ("127.0.0.2", (), True, {"localhost", "127.0.0.1", "::1", "127.0.0.2"}),
        ("localhost", (), True, {"localhost", "127.0.0.1", "::1"}),
        ("::1", (), True, {"localhost", "127.0.0.1", "::1"}),
        ("0.0.0.0", (), False, set()),
        ("::", (), False, set()),
        ("shop.example", (), False, set()),
        ("127.0.0.1", ("Shop.Example", "[::1]"), True, {"shop.example", "::1"}),
    ],
)
def test_who_may_ask(host, hosts, local, allowed):
    settings = Settings(model="", host=host, hosts=hosts)
    assert settings.is_local == local and settings.allowed_hosts == allowed
