"""Outgoing HTTP."""

import ssl
from pathlib import Path

import pytest

from hookcast.outgoing import http_client, tls_context
from support.certificates import make_certificate


def test_all_clients_share_the_certificates_which_take_long_to_load(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    made, make = [], ssl.create_default_context

    def counted(**options: str) -> ssl.SSLContext:
        made.append(options)
        return make(cafile=options.get("cafile"))

    monkeypatch.setattr(ssl, "create_default_context", counted)
    monkeypatch.setenv("SSL_CERT_FILE", str(make_certificate(tmp_path)))
    assert [http_client(), http_client(), tls_context()]
    assert len(made) == 1


def test_certificates_that_the_environment_names_later_count_from_then_on(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    found = []
    for name in ("one", "two"):
        monkeypatch.setenv("SSL_CERT_FILE", str(make_certificate(tmp_path, name)))
        found += tls_context().get_ca_certs()
    assert [certificate["subject"] for certificate in found] == [((("commonName", name),),) for name in ("one", "two")]
