"""Certificates for loopback servers, made by openssl."""

import subprocess
from pathlib import Path

SECONDS = 120


def make_certificate(folder: Path, name: str = "hookcast") -> Path:
    """Create a self-signed certificate for 127.0.0.1, with its key in the same file."""
    path, key = folder / f"{name}.pem", folder / f"{name}.key"
    subprocess.run(
        [
            *("openssl", "req", "-x509", "-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:prime256v1", "-nodes"),
            *("-days", "2", "-subj", f"/CN={name}", "-addext", "subjectAltName=IP:127.0.0.1"),
            *("-keyout", str(key), "-out", str(path)),
        ],
        capture_output=True,
        timeout=SECONDS,
        check=True,
    )
    with path.open("a") as file:
        file.write(key.read_text())
    return path
