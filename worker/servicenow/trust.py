"""Which certificate authorities vouch for an instance: the system's, certifi's, and the deployment's own file.

Made once a process and shared. There is no way to leave verification out.
"""

from __future__ import annotations

import ssl
from pathlib import Path

import certifi

from jobs.errors import InvalidSetting

_VARIABLE = "ZAPTIK_CA_FILE"


def build_trust(ca_file: Path | None) -> ssl.SSLContext:
    """Build the context of every connection to an instance: TLS 1.2 or later, certificate and name verified.

    Raises InvalidSetting where the file cannot be read or holds no certificate.
    """
    # Not create_default_context: where SSLKEYLOGFILE is set, it writes the session keys there.
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
    context.minimum_version = ssl.TLSVersion.TLSv1_2
    context.load_default_certs()
    context.load_verify_locations(cafile=certifi.where())
    if ca_file is not None:
        _add_authorities(context, ca_file)
    return context


def _add_authorities(context: ssl.SSLContext, ca_file: Path) -> None:
    try:
        context.load_verify_locations(cafile=ca_file)
    except ssl.SSLError:
        reason = "it holds no certificate in PEM form"
    except OSError as error:
        reason = error.strerror or "it cannot be read"
    else:
        return
    raise InvalidSetting(
        f"{_VARIABLE}: {ca_file} cannot be used ({reason}): name a readable file of certificate authorities in "
        "PEM form."
    )
