"""A certificate for the loopback address, made at run time, and what makes clients trust it."""

import subprocess
from collections.abc import Mapping
from pathlib import Path

VALID_DAYS = 7


def make_certificate(folder: Path) -> Path:
    """Return a file with a new key and a certificate that it has signed itself."""
    path, key = folder / "certificate.pem", folder / "key.pem"
    request = ["openssl", "req", "-x509", "-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:prime256v1", "-nodes"]
    names = ["-subj", "/CN=127.0.0.1", "-addext", "subjectAltName=IP:127.0.0.1", "-days", str(VALID_DAYS)]
    subprocess.run([*request, *names, "-keyout", str(key), "-out", str(path)], check=True, capture_output=True)
    path.write_bytes(path.read_bytes() + key.read_bytes())
    key.unlink()
    return path


def trusting(certificate: Path) -> Mapping[str, str]:
    """Return what clients read from the environment: requests, Python's ``ssl``, curl."""
    return dict.fromkeys(("REQUESTS_CA_BUNDLE", "SSL_CERT_FILE", "CURL_CA_BUNDLE"), str(certificate))
