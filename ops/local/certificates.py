"""A throw-away certificate authority and server certificates of it, valid for a day unless said."""

from __future__ import annotations

import datetime as dt
import ipaddress
from dataclasses import dataclass
from typing import TYPE_CHECKING

from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.x509.oid import ExtendedKeyUsageOID, NameOID

if TYPE_CHECKING:
    from collections.abc import Sequence
    from pathlib import Path

ALWAYS = ("127.0.0.1", "::1", "localhost")
VALID = dt.timedelta(days=1)
CLOCK_SKEW = dt.timedelta(minutes=5)
FOR_SIGNING = {"key_cert_sign": True, "crl_sign": True}
FOR_SERVING = {"digital_signature": True}


@dataclass(frozen=True, slots=True)
class Certificates:
    """Where the PEM files lie; the authority's own key is kept nowhere."""

    ca_file: Path
    cert_file: Path
    key_file: Path


class Authority:
    """An authority that lives as long as this object: its key is kept nowhere."""

    def __init__(self, *, valid: dt.timedelta = VALID) -> None:
        self._key = ec.generate_private_key(ec.SECP256R1())
        self._valid = valid
        self._certificate = _build_authority(self._key, valid=valid)

    def write(
        self, folder: Path, *, hosts: Sequence[str] = (), age: dt.timedelta = dt.timedelta()
    ) -> Certificates:
        """Write our certificate and a server's, for loopback and `hosts`, as if issued `age` ago."""
        key = ec.generate_private_key(ec.SECP256R1())
        server = _build_server(
            key.public_key(),
            names=[_parse_host(host) for host in dict.fromkeys((*ALWAYS, *hosts))],
            issued=dt.datetime.now(dt.UTC) - age,
            valid=self._valid,
            issuer=self._certificate,
            issuer_key=self._key,
        )
        written = Certificates(folder / "ca.pem", folder / "server.pem", folder / "server.key")
        written.ca_file.write_bytes(self._certificate.public_bytes(serialization.Encoding.PEM))
        written.cert_file.write_bytes(server.public_bytes(serialization.Encoding.PEM))
        _write_key(written.key_file, key)
        return written


def write_certificates(
    folder: Path, *, hosts: Sequence[str] = (), age: dt.timedelta = dt.timedelta()
) -> Certificates:
    """Write an authority of its own and a server certificate for loopback and `hosts` (names or addresses).

    The server's is as if issued `age` ago: it has expired where that is more than a day.
    """
    return Authority().write(folder, hosts=hosts, age=age)


def _build_authority(key: ec.EllipticCurvePrivateKey, *, valid: dt.timedelta) -> x509.Certificate:
    name = _build_name("Zaptik local authority")
    builder = _start_certificate(
        subject=name,
        issuer=name,
        public_key=key.public_key(),
        issuer_key=key,
        issued=dt.datetime.now(dt.UTC),
        valid=valid,
    )
    builder = builder.add_extension(x509.BasicConstraints(ca=True, path_length=0), critical=True)
    return builder.add_extension(_build_usage(**FOR_SIGNING), critical=True).sign(key, hashes.SHA256())


def _build_server(
    public_key: ec.EllipticCurvePublicKey,
    *,
    names: Sequence[x509.GeneralName],
    issued: dt.datetime,
    valid: dt.timedelta,
    issuer: x509.Certificate,
    issuer_key: ec.EllipticCurvePrivateKey,
) -> x509.Certificate:
    builder = _start_certificate(
        subject=_build_name("localhost"),
        issuer=issuer.subject,
        public_key=public_key,
        issuer_key=issuer_key,
        issued=issued,
        valid=valid,
    )
    serving = x509.ExtendedKeyUsage([ExtendedKeyUsageOID.SERVER_AUTH])
    return (
        builder.add_extension(x509.BasicConstraints(ca=False, path_length=None), critical=True)
        .add_extension(_build_usage(**FOR_SERVING), critical=True)
        .add_extension(serving, critical=False)
        .add_extension(x509.SubjectAlternativeName(names), critical=False)
        .sign(issuer_key, hashes.SHA256())
    )


def _start_certificate(
    *,
    subject: x509.Name,
    issuer: x509.Name,
    public_key: ec.EllipticCurvePublicKey,
    issuer_key: ec.EllipticCurvePrivateKey,
    issued: dt.datetime,
    valid: dt.timedelta,
) -> x509.CertificateBuilder:
    # Python 3.13's default context (VERIFY_X509_STRICT) wants both key identifiers.
    by = x509.AuthorityKeyIdentifier.from_issuer_public_key(issuer_key.public_key())
    return (
        x509.CertificateBuilder(subject_name=subject, issuer_name=issuer, public_key=public_key)
        .serial_number(x509.random_serial_number())
        .not_valid_before(issued - CLOCK_SKEW)
        .not_valid_after(issued + valid)
        .add_extension(x509.SubjectKeyIdentifier.from_public_key(public_key), critical=False)
        .add_extension(by, critical=False)
    )


def _build_name(common_name: str) -> x509.Name:
    return x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, common_name)])


def _build_usage(**granted: bool) -> x509.KeyUsage:
    every = (
        "digital_signature",
        "content_commitment",
        "key_encipherment",
        "data_encipherment",
        "key_agreement",
        "key_cert_sign",
        "crl_sign",
        "encipher_only",
        "decipher_only",
    )
    return x509.KeyUsage(**{name: granted.get(name, False) for name in every})


def _parse_host(host: str) -> x509.GeneralName:
    try:
        return x509.IPAddress(ipaddress.ip_address(host))
    except ValueError:
        return x509.DNSName(host)


def _write_key(path: Path, key: ec.EllipticCurvePrivateKey) -> None:
    path.touch(mode=0o600)
    path.write_bytes(
        key.private_bytes(
            serialization.Encoding.PEM, serialization.PrivateFormat.PKCS8, serialization.NoEncryption()
        )
    )
