"""`python -m ops.compose.first_tenant`: the simulated instance becomes a tenant, unless it is one already."""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path
from typing import Any, Final

from ops.compose.prepare import MOUNTED

NAME: Final = "acme"
URL: Final = "https://simulator:8443"
EVERY: Final = "5m"
CLIENT_ID: Final = "acme-client"


def run_zaptik(*arguments: str, given: str = "") -> dict[str, Any]:
    """Run `zaptik … --json` and give its document; it says itself what went wrong."""
    ended = subprocess.run(
        ["zaptik", *arguments, "--json"],  # noqa: S607  of the image
        input=given,
        stdout=subprocess.PIPE,
        text=True,
        check=False,
    )
    if ended.returncode:
        sys.exit(ended.returncode)
    document: dict[str, Any] = json.loads(ended.stdout)
    return document


def main() -> None:
    """Add the tenant where it is missing, and its credentials where it waits for them."""
    states = {tenant["tenant"]: tenant["state"] for tenant in run_zaptik("tenant", "list")["tenants"]}
    if NAME not in states:
        states[NAME] = run_zaptik("tenant", "add", NAME, "--url", URL, "--every", EVERY)["state"]
    if states[NAME] == "awaiting_credentials":
        secret = Path(MOUNTED, "admin", "client-secret").read_text()
        run_zaptik("credential", "set", NAME, "--client-id", CLIENT_ID, "--client-secret-stdin", given=secret)
    print(f"{NAME} is there")


if __name__ == "__main__":
    main()
