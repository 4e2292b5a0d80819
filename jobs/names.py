"""A tenant's name and what follows from it."""

from __future__ import annotations

import re

from jobs.errors import InvalidName

_NAME = re.compile(r"[a-z0-9]([a-z0-9-]{0,38}[a-z0-9])?\Z")


def check_tenant_name(name: str) -> str:
    """Give the name back if it can be an instance's, else raise InvalidName saying what can."""
    if not is_tenant_name(name):
        raise InvalidName(
            f"{name!a} cannot be a tenant's name: use the instance's name, 1 to 40 lower-case letters, digits "
            "and inner hyphens, as in https://NAME.service-now.com."
        )
    return name


def is_tenant_name(name: str) -> bool:
    """Say whether a name can be a tenant's."""
    return _NAME.match(name) is not None


def schema_name(name: str) -> str:
    """Give the schema and role of a tenant; hyphens become underscores, which no name has, so none collide."""
    return "tenant_" + check_tenant_name(name).replace("-", "_")


def reader_role(tenant_schema: str) -> str:
    """Give the role by which consumers read a tenant's schema: `reader_NAME`, which no tenant's own role can be."""
    return "reader_" + tenant_schema.removeprefix("tenant_")
