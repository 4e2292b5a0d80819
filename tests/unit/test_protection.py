"""What a server says of its own protection is told, with what is wanting in capitals."""

from __future__ import annotations

from worker.postgres.protection import Protection

GOOD = Protection("18.1", tls_offered=True, tls_least="TLSv1.2", tls_used="TLSv1.3", data_checksums=True,
                  password_encryption="scram-sha-256")  # fmt: skip
BAD = Protection("15.8", tls_offered=False, tls_least="TLSv1.2", tls_used=None, data_checksums=False,
                 password_encryption="md5")  # fmt: skip


def test_nothing_is_shouted_where_all_is_well_and_encryption_at_rest_is_never_claimed() -> None:
    text = "\n".join(GOOD.lines())
    assert "TLS: offered, from TLSv1.2 on; this connection uses TLSv1.3" in text
    assert not [word for word in text.split() if word.strip(":;,") in {"NOT", "OFF"}]
    assert "encryption at rest: cannot be seen" in text
    assert GOOD.document()["encryption_at_rest"] is None


def test_what_is_wanting_is_shouted_with_what_to_do() -> None:
    text = "\n".join(BAD.lines())
    for said in ("NOT offered: set ssl = on", "uses none", "OFF: ", "md5: NOT scram-sha-256"):
        assert said in text
    assert BAD.document()["tls"] == {"offered": False, "least": "TLSv1.2", "used": None}
