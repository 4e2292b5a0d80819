"""The vault: the deployment's keys, and tenants' credentials sealed under them.

Sealed bytes come from the database and go back to it; open credentials go to the ServiceNow client as an
argument. It knows neither of the two.
"""

from worker.vault.audit_key import (
    AuditKey,
    TrustedKeys,
    generate_audit_key,
    read_audit_key,
    read_trusted_keys,
)
from worker.vault.certificate import read_expiry
from worker.vault.credentials import (
    ClientCredentials,
    SealedCredentials,
    new_data_key,
    open_credentials,
    rewrap_data_key,
    seal_credentials,
)
from worker.vault.envelope import parse_key_id
from worker.vault.hardening import harden_process
from worker.vault.held import HeldKeyring
from worker.vault.keyring import (
    Keyring,
    Keys,
    check_keys_present,
    describe_keyring,
    format_keyring,
    new_keyring,
    with_new_key,
    with_new_primary,
    with_primary,
    without_key,
)
from worker.vault.keyring_file import change_keyring, check_changeable, generate_keyring
from worker.vault.sources import KeyringSource, find_source, read_keyring

__all__ = [
    "AuditKey",
    "ClientCredentials",
    "HeldKeyring",
    "Keyring",
    "KeyringSource",
    "Keys",
    "SealedCredentials",
    "TrustedKeys",
    "change_keyring",
    "check_changeable",
    "check_keys_present",
    "describe_keyring",
    "find_source",
    "format_keyring",
    "generate_audit_key",
    "generate_keyring",
    "harden_process",
    "new_data_key",
    "new_keyring",
    "open_credentials",
    "parse_key_id",
    "read_audit_key",
    "read_expiry",
    "read_keyring",
    "read_trusted_keys",
    "rewrap_data_key",
    "seal_credentials",
    "with_new_key",
    "with_new_primary",
    "with_primary",
    "without_key",
]
