"""Made choices of custom tables, and system properties: harmless ones, secrets, and switches by the number."""

from __future__ import annotations

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Iterator

    from ops.simulator.making import Maker
    from ops.simulator.store import Row

# What any instance has, and nobody need hide.
_HARMLESS = {
    "instance_name": ("string", "simulated"),
    "glide.servlet.uri": ("string", "https://simulated.example.invalid/"),
    "glide.buildname": ("string", "Australia"),
    "glide.sys.default.tz": ("timezone", "Europe/Berlin"),
    "glide.appcreator.company.code": ("string", "acme"),
    "glide.sc.use_user_criteria": ("boolean", "true"),
    "glide.invalid_query.returns_no_rows": ("boolean", "false"),
}
_SECRETS = (
    ("x_acme.mail.password", "password2"), ("glide.smtp.auth", "password"), ("x_acme.api.key", "string"),
    ("x_acme.client.secret", "string"), ("glide.oauth.inbound.client.credential.grant_type.enabled", "boolean"),
    ("x_acme.token.lifetime", "integer"),
)  # fmt: skip
_CHOICES = (
    ("u_facility", "u_floor"),
    ("x_acme_device", "paper_sizes"),
    ("incident", "u_impact"),
    ("incident", "state"),
)


def setting_tables(maker: Maker, groups: int) -> dict[str, list[Row]]:
    """Make choices, and properties in proportion to so many groups."""
    return {
        "sys_properties": list(_properties(maker, groups)),
        "sys_choice": [_choice(maker, number) for number in range(4 * len(_CHOICES))],
    }


def _properties(maker: Maker, groups: int) -> Iterator[Row]:
    named = [(name, kind, value) for name, (kind, value) in _HARMLESS.items()]
    named += [(name, kind, f"CANARY-SECRET-{name}") for name, kind in _SECRETS]
    named += [(f"x_acme.switch.{number}", "string", f"CANARY-VALUE-{number}") for number in range(groups)]
    for number, (name, kind, value) in enumerate(named):
        yield maker.metadata_row(
            "sys_properties", number, name=name, type=kind, value=value, description=f"What {name} is for"
        )


def _choice(maker: Maker, number: int) -> Row:
    table, element = _CHOICES[number % len(_CHOICES)]
    return maker.row(
        "sys_choice", number, name=table, element=element, value=str(number), label=f"Choice {number}",
        language="en", sequence=str(number), inactive=maker.flag(0.1),
    )  # fmt: skip
