"""The vault: the deployment's keys, and tenants' credentials sealed under them.

Sealed bytes come from the database and go back to it; open credentials go to the ServiceNow client as an
argument. It knows neither of the two.
"""

from worker.vault.credentials import (
    ClientCredentials,
    SealedCredentials,
    new_data_key,
    open_credentials,
    rewrap_data_key,
    seal_credentials,
)
from worker.vault.hardening import harden_process
from worker.vault.keyring import (
    Keyring,
    change_keyring,
    check_keys_present,
    format_keyring,
    generate_keyring,
    new_keyring,
    read_keyring,
    with_new_primary,
    without_key,
)

__all__ = [
    "ClientCredentials",
    "Keyring",
    "SealedCredentials",
    "change_keyring",
    "check_keys_present",
    "format_keyring",
    "generate_keyring",
    "harden_process",
    "new_data_key",
    "new_keyring",
    "open_credentials",
    "read_keyring",
    "rewrap_data_key",
    "seal_credentials",
    "with_new_primary",
    "without_key",
]
