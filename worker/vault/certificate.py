"""Until when a certificate is valid."""

from __future__ import annotations

from datetime import datetime

from cryptography import x509


def read_expiry(certificate: bytes) -> datetime:
    """Give until when a certificate (DER) is valid; ValueError where it is none."""
    return x509.load_der_x509_certificate(certificate).not_valid_after_utc
