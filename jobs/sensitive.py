"""Names that say that a column, a table or a property may hold people, code or a secret.

The surface that we describe is checked by eye and by tests. These rules are for what an instance or a
deployment names: columns of discovered tables, and properties whose values are asked for. They err on the side
of leaving something out.
"""

from __future__ import annotations

import re

SECRET_TYPES = ("password", "password2")

_SECRET = re.compile(r"passwd|password|passphrase|pwd|secret|token|credential|key|private|certificate")
_PERSON = re.compile(
    r"(?:^|_)(?:assigned_to|assignee|assignees|manager|managers|caller|callers|opened_(?:by|for)|closed_by|resolved_by"
    r"|created_by|updated_by|requested_(?:by|for)|requester|requestor|user|users|person|people|employee|employees"
    r"|contact|contacts|consumer|customer|owner|owners|approver|approvers|member|members|agent|agents|author"
    r"|editor|editors|technician|watch_list|work_notes_list|additional_assignee_list|delegate|delegates|subject_person"
    r"|e?mail|emails|phone|mobile|first_name|last_name|full_name|user_name|login|skills?)(?:_|$)"
)
_CODE = re.compile(
    r"(?:^|_)(?:script|scripts|calculation|formula|default_value|reference_qual|query_with)(?:_|$)"
)
_PEOPLE_TABLE = re.compile(
    r"sys_user$|sys_user_(?!group(?:_type)?$|role$)|.*(?:contact|consumer|employee|person|profile|agent|attachment)"
    r"|.*_user$"
)
_PROPERTY = re.compile(r"[A-Za-z0-9_.-]{1,100}\Z")


def is_secret_name(name: str) -> bool:
    """Say whether a name looks like that of a secret."""
    return _SECRET.search(name.lower()) is not None


def is_kept_column(name: str) -> bool:
    """Say whether a column's name speaks of nobody, of no code and of no secret."""
    return not (is_secret_name(name) or _PERSON.search(name) or _CODE.search(name))


def is_people_table(name: str) -> bool:
    """Say whether a table's records are people, or what is theirs alone."""
    return _PEOPLE_TABLE.match(name) is not None


def describe_property_refusal(name: str) -> str | None:
    """Say why the value of a property is never asked for; None where it may be. The name is not repeated."""
    if not _PROPERTY.match(name):
        return "is no property's name (letters, digits, dots, hyphens and underscores, at most 100)"
    if is_secret_name(name):
        return (
            "looks like a secret's (password, secret, token, credential, key, private, certificate), and the "
            "value of such a property is never read"
        )
    return None
