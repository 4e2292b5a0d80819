"""What a setting's text may be: lists, networks, commands, and how long something is kept at least.

Each form is a type of a field of `Settings`; what it raises says what to write instead, and never what was written.
"""

import re
import shlex
from collections.abc import Callable
from ipaddress import IPv4Network, IPv6Network, ip_network
from typing import Annotated, Final

from pydantic import AfterValidator, BeforeValidator, Field, SecretStr

from jobs.gaps import GAPS, find_unknown_gaps
from jobs.sensitive import describe_property_refusal
from worker.settings.addresses import check_database_url, check_host_pattern, check_redis_url

SERVICE_ADVICE: Final = (
    "Kubernetes makes such variables for a Service: set `enableServiceLinks: false` in the pod's spec"
)
REVISION_DAYS, RUN_DAYS, LONGEST_DAYS = 365, 90, 36_500
AUDIT_MONTHS, LONGEST_MONTHS = 24, 1_200


def _split_list(value: object) -> object:
    return _split(value) if isinstance(value, str) else value


def _check_command(command: SecretStr) -> SecretStr:
    try:
        words = shlex.split(command.get_secret_value())
    except ValueError:
        words = []
    if not words:
        raise ValueError("write a program and its arguments, with every quote closed")
    return command


def _check_kept(what: str, least: int, most: int, unit: str) -> Callable[[int], int]:
    """Give what refuses to keep for a shorter time than is promised; longer may always be."""

    def check(given: int) -> int:
        if not least <= given <= most:
            raise ValueError(
                f"{what} kept for {least} {unit} at least, since that is promised, and {most} at most: set a number of "
                f"{unit} between the two, or leave it unset"
            )
        return given

    return check


def check_no_service_link(value: object) -> object:
    """Refuse what Kubernetes puts into the variable of a port."""
    if isinstance(value, str) and "://" in value:
        raise ValueError(f"write a port's number; {SERVICE_ADVICE}")
    return value


def _split(text: str) -> tuple[str, ...]:
    return tuple(re.split(r"[\s,]+", text.strip(" ,\t\n")))


def _split_networks(value: object) -> object:
    try:
        return tuple(map(ip_network, _split(value))) if isinstance(value, str) else value
    except ValueError:
        raise ValueError(
            "write networks as 10.20.0.0/16 or fd12::/48, separated by commas or spaces"
        ) from None


def _check_property_names(names: tuple[str, ...]) -> tuple[str, ...]:
    for place, name in enumerate(names, start=1):
        if refusal := describe_property_refusal(name):
            raise ValueError(f"name {place} {refusal}: leave it out")
    return names


def _check_gaps(names: tuple[str, ...]) -> tuple[str, ...]:
    if unknown := find_unknown_gaps(names):
        places = ", ".join(str(names.index(name) + 1) for name in unknown)
        raise ValueError(f"name {places} is none of {', '.join(GAPS)}")
    return names


DatabaseUrl = Annotated[SecretStr, AfterValidator(check_database_url)]
RedisUrl = Annotated[SecretStr, AfterValidator(check_redis_url)]
KeyringCommand = Annotated[SecretStr, AfterValidator(_check_command)]
HostPatterns = Annotated[
    tuple[Annotated[str, AfterValidator(check_host_pattern)], ...], BeforeValidator(_split_list)
]
Networks = Annotated[tuple[IPv4Network | IPv6Network, ...], BeforeValidator(_split_networks)]
Gaps = Annotated[tuple[str, ...], BeforeValidator(_split_list), AfterValidator(_check_gaps)]
PropertyNames = Annotated[
    tuple[str, ...],
    BeforeValidator(_split_list),
    AfterValidator(_check_property_names),
    Field(max_length=200),
]
Seconds = Annotated[float, Field(gt=0, le=86_400, allow_inf_nan=False)]
Runs = Annotated[int, Field(ge=1, le=100_000)]
RevisionDays = Annotated[
    int, AfterValidator(_check_kept("revisions are", REVISION_DAYS, LONGEST_DAYS, "days"))
]
RunDays = Annotated[int, AfterValidator(_check_kept("runs are", RUN_DAYS, LONGEST_DAYS, "days"))]
AuditMonths = Annotated[
    int, AfterValidator(_check_kept("the audit trail is", AUDIT_MONTHS, LONGEST_MONTHS, "months"))
]
