"""What of a server's own protection can be seen by SQL: TLS, checksums, how passwords are kept. Not its disks.

PostgreSQL encrypts no file of its own, and nothing inside it tells whether the volume under it is encrypted:
docs/how-to/managed-servers.md, "Encryption at rest".
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

from worker.postgres.connection import Connection, fetch_row


@dataclass(frozen=True, slots=True)
class Protection:
    """What a server says of itself; `tls_used` is the TLS of the asking connection, None without."""

    version: str
    tls_offered: bool
    tls_least: str
    tls_used: str | None
    data_checksums: bool
    password_encryption: str

    def document(self) -> dict[str, Any]:
        """Give it for `migrate --json`; of encryption at rest nothing can be known from here."""
        return {
            "version": self.version,
            "tls": {"offered": self.tls_offered, "least": self.tls_least, "used": self.tls_used},
            "data_checksums": self.data_checksums,
            "password_encryption": self.password_encryption,
            "encryption_at_rest": None,
        }

    def lines(self) -> list[str]:
        """Say it for people, and what to do about what is wanting."""
        least = f"from {self.tls_least} on" if self.tls_least else "any version"
        offered = f"offered, {least}" if self.tls_offered else "NOT offered: set ssl = on"
        used = f"this connection uses {self.tls_used}" if self.tls_used else "this connection uses none"
        checksums = (
            "on" if self.data_checksums else "OFF: a damaged page is not noticed (pg_checksums --enable)"
        )
        kept = self.password_encryption
        if kept != "scram-sha-256":
            kept += ": NOT scram-sha-256, set password_encryption"
        return [
            f"server: PostgreSQL {self.version}",
            f"  TLS: {offered}; {used}",
            f"  data checksums: {checksums}",
            f"  passwords are kept as {kept}",
            "  encryption at rest: cannot be seen from inside; ask for encrypted volumes and backups",
        ]


async def read_protection(connection: Connection) -> Protection:
    """Read what the server says of itself; anybody may."""
    row = await fetch_row(connection, "control", "read_protection")
    assert row is not None
    return Protection(**row)
