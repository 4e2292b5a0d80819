"""`docs/reference/integration-guide.md`: what a customer's administrator sets up and grants, and why.

The words are ours, the tables, fields and roles those of the read surface. Facts about the platform come from the
vendor's documentation (named by page) or were measured on instances of others; what nobody could verify is said
to be so.
"""

from __future__ import annotations

from collections.abc import Iterator

from jobs.surface import Surface, Table, read_surface
from ops.markdown import build_table, code
from ops.surface_page import describe_use, name_domains

OWN_ROLE = "zaptik_reader"

_HEAD = """\
# Integration guide

For the administrator of a ServiceNow instance that is to be read: which client and which account to make, what to
grant, and exactly what is then read. [surface.md](surface.md) says what becomes of it.

Reading is by GET alone, through the Table API and the Aggregate API. The one POST asks for a token. Nothing can be
written: the program has no way to, and `snc_read_only` forbids it on your side.
"""
_CLIENT = """\
## 1. The OAuth client

1. Set the system property `glide.oauth.inbound.client.credential.grant_type.enabled` to `true`. It is not there by
   default, and absent means `false` (create-cc-sys-prop).
2. Make the integration user of [section 2](#2-the-account).
3. In **System OAuth > Application Registry**, make an OAuth API endpoint for external clients, with the grant type
   *client credentials*. Keep the access token's lifetime at its default of 1,800 seconds, or make it shorter.
4. Set the client's **OAuth application user** to the integration user. A token acts as that user, with that user's
   roles. Without it the answer is 400 `unauthorized_client`.
5. Where the plugin REST API Auth Scope is active, give the client a scope that permits GET on the Table and Aggregate
   APIs alone: a guarantee on your side beside the roles. A scope that is missing shows as 403 `Missing required api
   access scope`.
6. Hand over the client's id and secret. A wrong secret, a missing property and a user who must change the password all
   look the same from outside: 401 `access_denied`. The true reason is in the instance's log.
"""
_ACCOUNT = """\
## 2. The account

| | |
|---|---|
| kind | a user of its own, used by nothing else, with *Web service access only* |
| sign-on | exempt from multi-factor authentication and single sign-on; no password is needed |
| time zone | GMT. In another one nothing is missed, but what changed costs more requests to find |
| always | `snc_read_only`; `snc_platform_rest_api_access` where API-level ACLs are active (they ship inactive) |
| for the domains | the roles of [section 3](#3-roles), as many as you want read |
| rate | a rate limit rule for this user is welcome: it is obeyed, and `Retry-After` never undercut |

**`snc_read_only` grants nothing.** It forbids insert, update and delete whatever else the user holds
(c_ReadOnlyRole). Some roles below also permit writing; with `snc_read_only` the account cannot. A few tables, such as
`sysevent` and `sys_user_preference`, are exempt from it by default.

**`itil_reader` is no role of the platform.** The vendor's documentation does not have it. If your instance has a role
of that name, somebody made it: look at what it contains before you rely on it. Read roles that the vendor does have
(`sn_incident_read`, `sn_change_read`, `sn_problem_read`, `sn_request_read`, `cmdb_read`) are for work and
configuration items, which are never read here. `itil` is the technician's role: it reads what is needed and it also
writes, hence `snc_read_only`.

**`admin` is not needed and not enough.** Most ACLs let it pass, but the vendor tells customers to take
`sn_hr_core.admin` out of it (t_HRRemoveAdminRole): HR then stays unseen.
"""
_ROLE_FACTS = {
    "itil": "Technician. Contains more than is needed and writes: pair it with `snc_read_only`. Below it, "
    "`sys_db_object` answers 403.",
    "catalog_manager": "Reads the catalogue's items and their parts; it also edits those it owns. The vendor's own "
    "crawler is given it.",
    "access_analyzer_admin": "Reads `sys_db_object` and `sys_user_role` (and `sys_security_acl`, which is not read "
    "here). The vendor's own crawler is given it.",
    "sn_hr_core.content_reader": "Reads HR's configuration and contains no other role. Without it audiences in HR's "
    "scope are hidden without a word, so that audiences count as incomplete. Not `sn_hr_core.basic`, "
    "`case_reader`, `profile_reader` or `secure_info_reader`: they read people.",
    "assignment_rule_admin": "Manages assignment rules, so that it can read them; whether less would do is not "
    "documented.",
    "awa_manager": "Reads Advanced Work Assignment's configuration.",
    OWN_ROLE: "Not of the platform: a role that you make, with ACLs of your own. See [section 4](#4-your-own-role).",
}
_OWN_ROLE = f"""\
## 4. Your own role

No role of the platform is known to read these tables without being able to administer them. Make a role, called
`{OWN_ROLE}` here, give it to the integration user, and make for each table a read ACL that requires it: one on the
table (`TABLE`), and one on its fields (`TABLE.*`). To be stricter, make the second for the listed fields alone.
"""
_OWN_WHY = {
    "sys_group_has_role": "Which role reads it is not documented.",
    "sys_dictionary": "Measured: 200 and no row at every level below `admin`, `itil` included. A schema read with the "
    'wrong role "succeeds" with nothing.',
    "sys_choice": "Measured: without an ACL of its own only `label` comes, and a filter by `name`, `element` or "
    "`value` gets 403.",
    "sys_properties": "Measured: 200 and no row for anybody but an administrator.",
    "dl_definition": "Who may read it is not documented.",
    "dl_definition_rel_match": "As `dl_definition`.",
    "dl_definition_rel_set": "As `dl_definition`.",
    "dl_matcher": "As `dl_definition`. Its ACLs hold for the tables that extend it, unless they have their own.",
}
_QUERY = """\
Filters and the order by `sys_id` need the right to query: since 2025 a *query ACL* (`query_range`) can drop a
predicate or the order without a word, with status 200 (query-acl-rule). Every row is checked, so such a table is not
misread; it fails, and says so. Let the account query `sys_id` of every table, and the fields of each table's filter,
with `query_range`.

Once a run a few queries are sent to `sc_catalog` (or `sys_user_group`) whose honest answer is known, to see whether the
instance drops conditions and in which zone it reads times. One of them compares the field `zaptik_no_such_field`, which
no table has: it may stand in your logs, and is meant.
"""
_TABLES = """\
## 5. Every table and field

Nothing else is asked for, and what comes unasked is dropped. *Asked whether empty* means that the field stands in a
condition and is not read: let the account query it (`query_match`), or the attribute is left out.
"""
_VALUES = """\
## 6. Values of properties

The names stand in the condition of the request, and so does that the type is not a secret's; what comes is checked
again. The operator can add names (`ZAPTIK_PROPERTY_NAMES`), none that looks like a secret's, and should ask you
first. `glide.oauth.inbound.client.credential.grant_type.enabled` is not read: its name looks like a secret's, and that
rule has no exception.
"""
_LEFT_OUT = """\
- columns that are not of a plain type: scripts, passwords, e-mail addresses, telephone numbers, addresses, HTML;
- references and lists that lead to people: `sys_user`, and tables whose names say so;
- columns whose names speak of a person (`assigned_to`, `manager`, `caller`, `opened_by`, `owner`, `contact` …), of
  code or of a secret.
"""
_NEVER = """\
## 8. What is never read

- **People.** No user, member, manager, owner, assignee, e-mail address or telephone number; not who made or last
  changed a record (`sys_created_by`, `sys_updated_by`); no skills, no agent, no presence. Of an audience the groups,
  roles, departments, locations and companies, not the people on its list.
- **Work.** No incident, request, HR case, task, work item, approval, attachment, journal or log.
- **Code.** No script, condition script, default value, calculation or reference qualifier. Whether a rule has a script
  is asked; the script is not.
- **Secrets.** No value of a property but those in [section 6](#6-values-of-properties); never one of type `password` or
  `password2`, nor one whose name holds password, passwd, secret, token, credential, key, private or certificate.
- **Prices and texts for people.** No price, no instruction, no prepared text of a case.

A condition that an administrator wrote into a rule (`condition`) is read as it stands. It can name a person by a
`sys_id`; if that matters to you, keep people out of conditions.
"""
_CHECK = """\
## 9. See that it works

`zaptik doctor NAME` tries the client and every table in a minute or so, and names each missing grant and what it
would show. Then `zaptik sync NAME --wait` reads, and shows each table's verdict. `denied` is a missing grant,
`hidden` is rows that exist and are kept from the account, `absent` is a plugin that is not installed and needs
nothing. `complete` with a reason is a table read whole of which one attribute is not known. What is not `complete`
never takes anything out of the graph. The meaning of each verdict is in [graph.md](graph.md#verdicts).

"Empty" and "not allowed" look alike to the API: a table that answers 200 with no row, and a count of none, is called
`complete` with 0 rows. So look once at the tables that you know are not empty.
"""


def build_guide() -> list[str]:
    """Build the page's lines."""
    surface = read_surface()
    return [
        _HEAD,
        _CLIENT,
        _ACCOUNT,
        *_describe_roles(surface),
        *_describe_own_role(surface),
        *_describe_tables(surface),
        *_describe_values(surface),
        *_describe_discovered(surface),
        _NEVER,
        _CHECK,
    ]


def _describe_roles(surface: Surface) -> Iterator[str]:
    yield "## 3. Roles"
    yield ""
    yield "What each domain needs. A domain whose role is not granted is a gap with a verdict, not a failure."
    yield ""
    rows = []
    for domain in name_domains(surface):
        tables = [table for table in surface.tables.values() if table.domain == domain]
        for role in dict.fromkeys(table.role for table in tables):
            names = [table.name for table in tables if table.role == role]
            plugins = dict.fromkeys(table.plugin for table in tables if table.role == role and table.plugin)
            rows.append((domain, f"`{role}`", code(names), code(plugins) or "none"))
    yield from build_table(("domain", "role", "unblinds", "plugin"), rows)
    roles = dict.fromkeys(table.role for table in surface.tables.values())
    yield from build_table(("role", "what it is"), ((f"`{role}`", _ROLE_FACTS[role]) for role in roles))


def _describe_own_role(surface: Surface) -> Iterator[str]:
    yield _OWN_ROLE
    own = [table.name for table in surface.tables.values() if table.role == OWN_ROLE]
    yield from build_table(("table", "why"), ((f"`{name}`", _OWN_WHY[name]) for name in own))
    yield _QUERY


def _describe_tables(surface: Surface) -> Iterator[str]:
    yield _TABLES
    for domain in name_domains(surface):
        yield f"### {domain[0].upper()}{domain[1:]}"
        yield ""
        for table in surface.tables.values():
            if table.domain == domain:
                yield from _describe_table(table)


def _describe_table(table: Table) -> Iterator[str]:
    yield f"**`{table.name}`** ({table.role}). {table.why}"
    if table.filter:
        yield f"Only rows with `{table.filter}`."
    yield ""
    rows = [(f"`{name}`", describe_use(table, name)) for name in table.asked]
    for flag, columns in table.flags.items():
        rows += [(f"`{column}`", f"asked whether empty, for the attribute `{flag}`") for column in columns]
    if table.values:
        rows.append(("`value`", "of the properties in section 6 alone"))
    yield from build_table(("field", "what for"), rows)


def _describe_values(surface: Surface) -> Iterator[str]:
    yield _VALUES
    named = [item for table in surface.tables.values() for item in table.values.items()]
    yield from build_table(("property", "why"), ((f"`{name}`", why) for name, why in named))


def _describe_discovered(surface: Surface) -> Iterator[str]:
    rule = surface.discovery
    assert rule is not None
    yield "## 7. Tables of data lookups"
    yield ""
    yield f"{rule.why} Your instance says itself which tables these are: those in `{rule.field}` of"
    yield f"`{rule.named_in}` whose names begin with `dl_`, `u_` or `x_`. Their columns are those that"
    yield f"`{rule.described_in}` gives, but for:"
    yield ""
    yield _LEFT_OUT
    yield f"They need read access to `{rule.extends}` and what extends it, and to `{rule.described_in}`."
    yield ""
