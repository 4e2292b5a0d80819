"""Certificates are always verified; the deployment's file adds authorities and can take none away."""

import ssl
from pathlib import Path

import pytest

from jobs.errors import InvalidSetting
from ops.local.certificates import write_certificates
from worker.servicenow import build_trust


def names(context: ssl.SSLContext) -> set[str]:
    return {str(authority["subject"]) for authority in context.get_ca_certs()}


def test_certificate_and_name_are_verified_by_tls_1_2_or_later() -> None:
    context = build_trust(None)
    assert context.verify_mode is ssl.CERT_REQUIRED
    assert context.check_hostname
    assert context.minimum_version is ssl.TLSVersion.TLSv1_2
    assert names(context), "public authorities are known without a file"


def test_a_file_adds_its_authorities_to_the_public_ones(tmp_path: Path) -> None:
    public, both = build_trust(None), build_trust(write_certificates(tmp_path).ca_file)
    assert len(names(both) - names(public)) == 1
    assert names(public) < names(both)


def test_the_systems_authorities_count_and_where_it_has_none_there_are_still_public_ones(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    monkeypatch.setenv("SSL_CERT_DIR", str(tmp_path))
    monkeypatch.setenv("SSL_CERT_FILE", str(write(tmp_path / "none.pem", "")))
    bare = names(build_trust(None))
    monkeypatch.setenv("SSL_CERT_FILE", str(write_certificates(tmp_path).ca_file))
    assert len(bare) > 50
    assert len(names(build_trust(None)) - bare) == 1


def test_session_keys_are_written_nowhere(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setenv("SSLKEYLOGFILE", str(tmp_path / "keys"))
    assert build_trust(None).keylog_filename is None


def write(path: Path, text: str) -> Path:
    path.write_text(text)
    return path


@pytest.mark.parametrize(
    "kind", ["missing", "a folder", "empty", "no certificate", "a key", "a cut certificate"]
)
def test_a_file_that_cannot_be_used_is_named_with_its_variable(tmp_path: Path, kind: str) -> None:
    written = write_certificates(tmp_path)
    path = {
        "missing": tmp_path / "missing.pem",
        "a folder": tmp_path,
        "empty": write(tmp_path / "empty.pem", ""),
        "no certificate": write(tmp_path / "text.pem", "hello"),
        "a key": written.key_file,
        "a cut certificate": write(tmp_path / "cut.pem", written.ca_file.read_text()[:200]),
    }[kind]
    with pytest.raises(InvalidSetting, match=r"^ZAPTIK_CA_FILE: .*name a readable file") as caught:
        build_trust(path)
    assert str(path) in caught.value.message
