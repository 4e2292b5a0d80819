"""Every setting, read once from variables with the prefix ZAPTIK_, checked, frozen, and passed explicitly.

Nothing here opens a connection, and no file but one that holds a setting's own text (`secret_files`): any other
path is only a path. What leaves the machine must be encrypted and verified, so a URL that would talk in clear to
another host is refused here, before anything can use it. No message repeats a value, since a value may be a
password; pydantic's own errors print it, so none escapes.
"""

import difflib
import re
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Annotated, Any, Final, Literal, NoReturn, Self

from pydantic import BeforeValidator, Field, SecretStr, ValidationError, model_validator
from pydantic_settings import BaseSettings, PydanticBaseSettingsSource, SettingsConfigDict

from jobs.errors import InvalidSetting, UnknownSetting
from worker.settings.addresses import (
    DATABASE_FORM,
    MAX_PORT,
    REDIS_FORM,
)
from worker.settings.forms import (
    AUDIT_MONTHS,
    LONGEST_DAYS,
    LONGEST_MONTHS,
    REVISION_DAYS,
    RUN_DAYS,
    SERVICE_ADVICE,
    AuditMonths,
    DatabaseUrl,
    Gaps,
    HostPatterns,
    KeyringCommand,
    Networks,
    PropertyNames,
    RedisUrl,
    RevisionDays,
    RunDays,
    Runs,
    Seconds,
    check_no_service_link,
)
from worker.settings.secret_files import SUFFIX, read_filed_values

PREFIX: Final = "ZAPTIK_"
_TEST_PREFIX: Final = "ZAPTIK_TEST_"
FILED: Final = ("database_url", "listen_database_url", "admin_database_url", "redis_url")
_SERVICE_LINK: Final = re.compile(
    r".+_(SERVICE_(HOST|PORT(_\w+)?)|PORT(_[0-9]+_(TCP|UDP|SCTP)(_(PROTO|PORT|ADDR))?)?)"
)

_TYPE_NAMES: Final = {
    "password": "secret text", "path": "path", "array": "list", "integer": "integer", "number": "number",
}  # fmt: skip


class Settings(BaseSettings):
    """All settings of every process and command; see `docs/reference/settings.md`, generated from here."""

    model_config = SettingsConfigDict(
        env_prefix=PREFIX, frozen=True, extra="forbid", hide_input_in_errors=True, validate_default=False
    )

    database_url: DatabaseUrl | None = Field(
        None,
        description="PostgreSQL as `zaptik_app`, for workers and schedulers. TLS `sslmode=verify-full`, "
        "unless a Unix socket or loopback.",
    )
    listen_database_url: DatabaseUrl | None = Field(
        None,
        description="As `ZAPTIK_DATABASE_URL`, past a pooler in transaction mode: the scheduler listens there for "
        "requests. Not set: at `ZAPTIK_DATABASE_URL`.",
    )
    admin_database_url: DatabaseUrl | None = Field(
        None,
        description="PostgreSQL as an administrator, only for `migrate`, `tenant add` and the like. Never "
        "given to a worker. TLS as above.",
    )
    accepted_gaps: Gaps = Field(
        (),
        description="What the database's server does not let `zaptik migrate` close and you accept, by names separated "
        "by commas or spaces: see [managed servers](../how-to/managed-servers.md). Told as a warning at every start.",
    )
    redis_url: RedisUrl | None = Field(
        None,
        description="Redis, in a logical database of its own: `rediss://`, unless it is a Unix socket or loopback.",
    )
    redis_ca_file: Path | None = Field(None, description="Certificate authorities for Redis (PEM).")
    keyring_file: Path | None = Field(
        None, description="The deployment's keys, as a file no one else may read (`zaptik keys generate`)."
    )
    keyring: SecretStr | None = Field(
        None, description="The deployment's keys as the same JSON text, where a file is not to be had."
    )
    keyring_command: KeyringCommand | None = Field(
        None,
        description="A command that prints the same JSON text, a key service's client say: words as in a shell, run "
        "without one. One of the three is set.",
    )
    audit_key_file: Path | None = Field(
        None,
        description="The key that seals the audit trail, for schedulers, as a file no one else may read (`zaptik audit "
        "key generate`). Not set: nothing is sealed.",
    )
    audit_key: SecretStr | None = Field(
        None, description="The same key as its JSON text, where a file is not to be had."
    )
    instance_hosts: HostPatterns = Field(
        (),
        description="Hosts allowed beside `*.service-now.com`: `host`, `host:port` or `*.example.com`, "
        "separated by commas or spaces.",
    )
    private_ranges: Networks = Field(
        (),
        description="Networks outside the public address space where an instance may be, as `10.20.0.0/16`, "
        "separated by commas or spaces. A name that leads anywhere else private is refused.",
    )
    ca_file: Path | None = Field(None, description="Further certificate authorities for instances (PEM).")
    metrics_host: str = Field(
        "127.0.0.1", min_length=1, description="The address on which /metrics, /livez and /readyz answer."
    )
    metrics_port: Annotated[int | None, BeforeValidator(check_no_service_link)] = Field(
        None,
        ge=0,
        le=MAX_PORT,
        description="Its port; 0 takes a free one. Not set: 9191 for a worker, 9190 for a scheduler.",
    )
    worker_threads: int = Field(4, ge=1, le=256, description="Runs at once in one worker process.")
    slice_seconds: Seconds = Field(
        120, description="How long a worker stays with one run before others have their turn."
    )
    lease_seconds: Seconds = Field(
        60, description="How long a silent worker keeps a run before it is offered again."
    )
    scheduler_tick_seconds: Seconds = Field(
        5,
        description="The pause between two rounds of the scheduler; while it rings for runs, a second at most.",
    )
    starts_per_second: float = Field(
        50, gt=0, le=10_000, description="The most turns that begin in a second, all schedulers together."
    )
    page_rows: int = Field(
        1000,
        ge=1,
        le=10_000,
        description="Rows asked for at once (`sysparm_limit`). An answer over 16 MiB is refused.",
    )
    request_timeout_seconds: Seconds = Field(
        60, description="The most one request to an instance may take, all in all."
    )
    instance_concurrency: int = Field(
        4, ge=1, le=64, description="The most requests at once to one instance."
    )
    property_names: PropertyNames = Field(
        (),
        description="System properties whose values are read beside those of the read surface, separated by commas or "
        "spaces. A name that looks like a secret's is refused, and a value of a secret type is never read.",
    )
    max_attempts: int = Field(5, ge=1, le=100, description="How often a run is tried before it is given up.")
    drain_seconds: Seconds = Field(
        25, description="How long a stopping process may finish its work; less than the orchestrator's grace."
    )
    retry_base_seconds: Seconds = Field(10, description="The wait before the first retry of a run; doubles.")
    retry_cap_seconds: Seconds = Field(900, description="The longest wait between two tries of a run.")
    scan_every_runs: Runs = Field(
        24, description="At least every so many runs all records' keys are read; 1: in every run."
    )
    whole_every_runs: Runs = Field(
        168, description="At least every so many runs all content is read again; 1: in every run."
    )
    guard_removed_rows: int = Field(
        50,
        ge=0,
        le=1_000_000,
        description="A revision that removes more nodes of a kind, or rows of a table of links, than this, and "
        "more of them than the share below, waits for a person. Links that others took the place of are not counted.",
    )
    guard_removed_share: float = Field(
        0.2,
        ge=0,
        le=1,
        allow_inf_nan=False,
        description="The share of a kind's nodes or a table's links: 0.2 is a fifth.",
    )
    revision_retention: RevisionDays = Field(
        REVISION_DAYS,
        description="How many days a revision is kept; the one in force stays. Never fewer than are promised.",
        json_schema_extra={"minimum": REVISION_DAYS, "maximum": LONGEST_DAYS},
    )
    run_retention: RunDays = Field(
        RUN_DAYS,
        description="How many days a run's row is kept after its end; the newest stay. Never fewer than are promised.",
        json_schema_extra={"minimum": RUN_DAYS, "maximum": LONGEST_DAYS},
    )
    audit_retention: AuditMonths = Field(
        AUDIT_MONTHS,
        description="How many months an audit event is kept at least; a sealed month goes whole when its last is so "
        "old. Never fewer than are promised.",
        json_schema_extra={"minimum": AUDIT_MONTHS, "maximum": LONGEST_MONTHS},
    )
    tombstones_file: Path | None = Field(
        None,
        description="The list of deleted tenants, outside of the database and its backups: `tenant offboard` adds to "
        "it, and `migrate` deletes again whom a restored backup brought back.",
    )
    log_format: Literal["json", "console"] = Field("json", description="How log lines are written.")
    log_level: Literal["debug", "info", "warning", "error"] = Field(
        "info", description="The least level that is written."
    )

    @model_validator(mode="after")
    def _check_together(self) -> Self:
        if [self.keyring_file, self.keyring, self.keyring_command].count(None) < 2:  # noqa: PLR2004  three, one set
            raise ValueError(
                f"set one of {PREFIX}KEYRING_FILE, {PREFIX}KEYRING and {PREFIX}KEYRING_COMMAND, not more"
            )
        if self.audit_key_file is not None and self.audit_key is not None:
            raise ValueError(f"set one of {PREFIX}AUDIT_KEY_FILE and {PREFIX}AUDIT_KEY, not both")
        if self.retry_base_seconds > self.retry_cap_seconds:
            raise ValueError(f"set {PREFIX}RETRY_BASE_SECONDS to no more than {PREFIX}RETRY_CAP_SECONDS")
        return self

    @classmethod
    def settings_customise_sources(  # noqa: D102  pydantic's name; only `read_settings` gives values
        cls,
        settings_cls: type[BaseSettings],  # noqa: ARG003
        init_settings: PydanticBaseSettingsSource,
        env_settings: PydanticBaseSettingsSource,  # noqa: ARG003
        dotenv_settings: PydanticBaseSettingsSource,  # noqa: ARG003
        file_secret_settings: PydanticBaseSettingsSource,  # noqa: ARG003
    ) -> tuple[PydanticBaseSettingsSource, ...]:
        return (init_settings,)

    def __reduce__(self) -> NoReturn:
        raise TypeError("settings hold secrets and are not pickled")

    def require_database_url(self) -> str:
        """Give the URL of PostgreSQL as `zaptik_app`; `InvalidSetting` where it is not set."""
        return _require(self.database_url, "database_url", DATABASE_FORM)

    def listening_url(self) -> str:
        """Give the URL of PostgreSQL at which to listen; `InvalidSetting` where none is set."""
        if self.listen_database_url is not None:
            return self.listen_database_url.get_secret_value()
        return self.require_database_url()

    def require_admin_database_url(self) -> str:
        """Give the URL of PostgreSQL as an administrator; `InvalidSetting` where it is not set."""
        return _require(self.admin_database_url, "admin_database_url", DATABASE_FORM)

    def require_redis_url(self) -> str:
        """Give the URL of Redis; `InvalidSetting` where it is not set."""
        return _require(self.redis_url, "redis_url", REDIS_FORM)


def _require(secret: SecretStr | None, field: str, form: str) -> str:
    if secret is None:
        raise InvalidSetting(f"set {variable_of(field)} to {form}")
    return secret.get_secret_value()


def variable_of(field: str) -> str:
    """Give the variable that sets a field."""
    return PREFIX + field.upper()


def file_variable_of(field: str) -> str:
    """Give the variable that names a file which holds the field's text."""
    return variable_of(field) + SUFFIX


def read_settings(environ: Mapping[str, str]) -> Settings:
    """Read the settings from variables, `os.environ` say; an empty one counts as not set.

    Those of `FILED` may be given as a file, `ZAPTIK_DATABASE_URL_FILE` say, which is read here.

    Raises `UnknownSetting` for a variable with our prefix that is none, and `InvalidSetting` with every
    variable that cannot be used and what to write in it, never with its value.
    """
    fields = {variable_of(field): field for field in Settings.model_fields}
    known = [*fields, *map(file_variable_of, FILED)]
    ours = {name: text for name, text in environ.items() if _is_ours(name)}
    if unknown := sorted(ours.keys() - set(known)):
        raise UnknownSetting("; ".join(_describe_unknown(name, known) for name in unknown))
    values = read_filed_values(ours, filed=[variable_of(field) for field in FILED])
    try:
        return Settings.model_validate({fields[name]: text for name, text in values.items() if text.strip()})
    except ValidationError as error:
        complaints = dict.fromkeys(_describe_invalid(detail) for detail in error.errors(include_input=False))
    raise InvalidSetting("; ".join(complaints))


def _is_ours(name: str) -> bool:
    return name.startswith(PREFIX) and not name.startswith(_TEST_PREFIX)


def _describe_unknown(name: str, known: list[str]) -> str:
    if _SERVICE_LINK.fullmatch(name):
        return f"{name} is no setting: {SERVICE_ADVICE}"
    nearest = difflib.get_close_matches(name, known, n=1)
    hint = f"did you mean {nearest[0]}?" if nearest else "unset it, or see docs/reference/settings.md"
    return f"{name} is no setting: {hint}"


def _describe_invalid(detail: Mapping[str, Any]) -> str:
    what = detail["msg"].removeprefix("Value error, ")
    return f"{variable_of(str(detail['loc'][0]))}: {what}" if detail["loc"] else what


@dataclass(frozen=True, slots=True)
class SettingRow:
    """One setting, as its reference page shows it."""

    variable: str
    type: str
    default: str
    meaning: str


def describe_settings() -> tuple[SettingRow, ...]:
    """Describe every setting, in the order of the fields, for `docs/reference/settings.md`."""
    shapes = Settings.model_json_schema()["properties"]
    rows = []
    for name, field in Settings.model_fields.items():
        default = "" if field.default in (None, ()) else f"{field.default}"
        row = SettingRow(variable_of(name), _describe_type(shapes[name]), default, field.description or "")
        rows.append(row)
        if name in FILED:
            meaning = f"A file that holds `{row.variable}`, and that no one else may read, in its place."
            rows.append(SettingRow(file_variable_of(name), "path", "", meaning))
    return tuple(rows)


def _describe_type(shape: Mapping[str, Any]) -> str:
    if "anyOf" in shape:
        return _describe_type(shape["anyOf"][0])
    if "enum" in shape:
        return ", ".join(shape["enum"])
    name = _TYPE_NAMES.get(shape.get("format", shape["type"]), "text")
    if "maximum" not in shape:
        return name
    least = f"{shape['minimum']}" if "minimum" in shape else f"more than {shape['exclusiveMinimum']}"
    return f"{name}, {least} to {shape['maximum']}"
