"""TLS contexts of connections to Redis."""

import pytest

from hookcast.bus import tls


def test_connections_with_the_same_options_share_a_context() -> None:
    first, second = tls.TlsConnection(ssl_cert_reqs="required"), tls.TlsConnection(ssl_cert_reqs="required")
    assert second.ssl_context is first.ssl_context


def test_other_options_have_another_context() -> None:
    strict, lax = tls.TlsConnection(ssl_cert_reqs="required"), tls.TlsConnection(ssl_cert_reqs="none")
    assert lax.ssl_context is not strict.ssl_context


def test_renewed_certificates_are_read_after_a_while(monkeypatch: pytest.MonkeyPatch) -> None:
    first = tls.TlsConnection(ssl_cert_reqs="required")
    monkeypatch.setattr(tls, "KEPT_SECONDS", 0.0)
    assert tls.TlsConnection(ssl_cert_reqs="required").ssl_context is not first.ssl_context
