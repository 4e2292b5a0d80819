"""Names that speak of people, code or secrets are known as such; properties with harmless names are not."""

from __future__ import annotations

import pytest

from jobs.sensitive import describe_property_refusal, is_kept_column, is_people_table, is_secret_name


@pytest.mark.parametrize(
    "name",
    ["glide.smtp.password", "x.passwd", "API_KEY", "x.client.Secret", "oauth.token", "x.private.note",
     "glide.oauth.inbound.client.credential.grant_type.enabled", "ca.certificate", "keystore", "db.pwd"],
)  # fmt: skip
def test_a_secret_looking_name_is_a_secrets_and_its_property_is_refused(name: str) -> None:
    assert is_secret_name(name)
    refusal = describe_property_refusal(name)
    assert refusal is not None
    assert name not in refusal, "it may be a secret itself, written in the wrong place"


@pytest.mark.parametrize("name", ["instance_name", "glide.servlet.uri", "x-acme.Switch_2", "a" * 100])
def test_a_harmless_name_is_not_refused(name: str) -> None:
    assert describe_property_refusal(name) is None


@pytest.mark.parametrize("name", ["", "a b", "a^b", "a,b", "a=b", "a\n", "ä", "a" * 101, "javascript:x"])
def test_what_is_no_propertys_name_is_refused(name: str) -> None:
    assert "no property's name" in (describe_property_refusal(name) or "")


@pytest.mark.parametrize(
    "name", ["user", "u_user", "opened_by", "u_contact_email", "work_notes_list", "user_id"]
)
def test_a_column_of_a_person_is_not_kept(name: str) -> None:
    assert not is_kept_column(name)


@pytest.mark.parametrize(
    "name", ["assignment_group", "u_usage", "u_mailbox", "u_telephony", "u_skillful_site"]
)
def test_a_column_that_only_sounds_like_it_is_kept(name: str) -> None:
    assert is_kept_column(name)


def test_groups_and_roles_are_no_people() -> None:
    assert is_people_table("sys_user")
    assert is_people_table("sys_user_grmember")
    assert not [
        name for name in ("sys_user_group", "sys_user_group_type", "sys_user_role") if is_people_table(name)
    ]
