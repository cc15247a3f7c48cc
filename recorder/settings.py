"""The settings: read and checked once, then passed on as a frozen object."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from datetime import timedelta
from ipaddress import ip_address
from pathlib import Path
from typing import Annotated, Any, Literal

from pydantic import AfterValidator, Field, SecretStr, ValidationError, ValidationInfo, field_validator
from pydantic_core import ErrorDetails
from pydantic_settings import BaseSettings, SettingsConfigDict
from sqlalchemy import URL

from recorder.database_url import DEFAULT_DATABASE_URL
from recorder.ledger.transitions import Rules
from recorder.settings_validators import (
    checked_api_key,
    checked_base_url,
    checked_database_url,
    checked_origins,
    checked_prefix,
    checked_tokens,
    user_at_host,
)
from recorder.store.engine import check_url, with_pooler
from recorder.tokens import Token, read_tokens

LEASE_MARGIN_SECONDS = 2
"""The part of a lease that is reserved for writing the outcome of a request."""

MAX_DURATION_SECONDS = 10 * 365 * 86400

_SECONDS = f"seconds, more than 0 and at most {MAX_DURATION_SECONDS}"

Seconds = Annotated[float, Field(gt=0, le=MAX_DURATION_SECONDS, allow_inf_nan=False)]


class SettingsError(ValueError):
    """Settings are missing or invalid; the text has a line for each, with its name and what is allowed."""


class Settings(BaseSettings):
    """All settings; `alias` is the name of the environment variable, `description` what is allowed."""

    model_config = SettingsConfigDict(
        frozen=True, env_file=".env", extra="ignore", hide_input_in_errors=True, env_ignore_empty=True
    )

    api_key: Annotated[SecretStr, AfterValidator(checked_api_key)] | None = Field(
        None, alias="PARALLEL_API_KEY", description="the provider's key: printable ASCII without spaces"
    )
    base_url: Annotated[str, AfterValidator(checked_base_url)] = Field(
        "https://api.parallel.ai",
        alias="PARALLEL_BASE_URL",
        description="an http:// or https:// address without user, query or fragment",
    )
    upstream_prefix: Annotated[str, AfterValidator(checked_prefix)] = Field(
        "/v1beta", alias="RECORDER_UPSTREAM_PREFIX", description="a path such as /v1beta or /v1"
    )
    database_url: Annotated[str, AfterValidator(checked_database_url)] = Field(
        DEFAULT_DATABASE_URL,
        alias="RECORDER_DATABASE_URL",
        repr=False,
        description="sqlite:///FILE or postgresql://USER@HOST/NAME",
    )
    read_database_url: Annotated[str, AfterValidator(checked_database_url)] | None = Field(
        None,
        repr=False,
        alias="RECORDER_READ_DATABASE_URL",
        description="like RECORDER_DATABASE_URL; a replica for readers",
    )
    database_pooler: Literal["none", "transaction"] | None = Field(
        None, alias="RECORDER_DATABASE_POOLER", description="none or transaction"
    )
    actor: str = Field(
        default_factory=user_at_host,
        alias="RECORDER_ACTOR",
        min_length=1,
        max_length=255,
        description="1 to 255 printable characters",
    )
    poll_interval: Seconds = Field(10, alias="RECORDER_POLL_INTERVAL", description=_SECONDS)
    settled_interval: Seconds = Field(300, alias="RECORDER_SETTLED_INTERVAL", description=_SECONDS)
    retire_after: float = Field(
        604800,
        ge=0,
        le=MAX_DURATION_SECONDS,
        allow_inf_nan=False,
        alias="RECORDER_RETIRE_AFTER",
        description=f"seconds, at most {MAX_DURATION_SECONDS}, or 0 for never",
    )
    gone_after: Seconds = Field(900, alias="RECORDER_GONE_AFTER", description=_SECONDS)
    gap_grace: Seconds = Field(30, alias="RECORDER_GAP_GRACE", description=_SECONDS)
    rate: float = Field(
        20,
        gt=0,
        le=100_000,
        allow_inf_nan=False,
        alias="RECORDER_RATE",
        description="requests per second, more than 0 and at most 100000",
    )
    concurrency: int = Field(
        50, ge=1, le=10_000, alias="RECORDER_CONCURRENCY", description="a whole number from 1 to 10000"
    )
    request_timeout: Seconds = Field(10, alias="RECORDER_REQUEST_TIMEOUT", description=_SECONDS)
    lease: Seconds = Field(
        30,
        validate_default=True,
        alias="RECORDER_LEASE",
        description=f"seconds, more than RECORDER_REQUEST_TIMEOUT + {LEASE_MARGIN_SECONDS}",
    )
    max_body: int = Field(
        1_048_576, ge=1024, le=2**30, alias="RECORDER_MAX_BODY", description="bytes, 1024 to 1073741824"
    )
    api_tokens: Annotated[str, AfterValidator(checked_tokens)] | None = Field(
        None,
        repr=False,
        alias="RECORDER_API_TOKENS",
        description="name:sha256hex as printed by recorder token NAME, separated by commas, each name once",
    )
    api_host: str = Field(
        "127.0.0.1",
        alias="RECORDER_API_HOST",
        description="127.0.0.1, ::1 or localhost; with RECORDER_API_TOKENS (made by recorder token NAME) any "
        "address of this machine",
    )
    api_port: int = Field(
        8000, ge=1, le=65535, alias="RECORDER_API_PORT", description="a port number from 1 to 65535"
    )
    api_cors_origins: Annotated[str, AfterValidator(checked_origins)] | None = Field(
        None,
        alias="RECORDER_API_CORS_ORIGINS",
        description="origins such as https://reports.example.org, separated by commas",
    )
    api_timeout: float = Field(
        10,
        gt=0,
        le=86400,
        allow_inf_nan=False,
        alias="RECORDER_API_TIMEOUT",
        description="seconds, more than 0 and at most 86400",
    )
    cohort_key: str | None = Field(
        None,
        alias="RECORDER_COHORT_KEY",
        min_length=1,
        description="a key of the groups' metadata, such as processor",
    )
    checkpoint_dir: Path | None = Field(
        None, alias="RECORDER_CHECKPOINT_DIR", description="an existing folder"
    )
    checkpoint_interval: Seconds = Field(3600, alias="RECORDER_CHECKPOINT_INTERVAL", description=_SECONDS)
    log_format: Literal["console", "json"] = Field(
        "console", alias="RECORDER_LOG_FORMAT", description="console or json"
    )

    @field_validator("checkpoint_dir")
    @classmethod
    def _present(cls, folder: Path | None) -> Path | None:
        if folder is not None and not folder.is_dir():
            raise ValueError("no such folder")
        return folder

    @field_validator("actor")
    @classmethod
    def _printable(cls, actor: str) -> str:
        if not actor.isprintable():
            raise ValueError("not printable")
        return actor

    @field_validator("api_host")
    @classmethod
    def _loopback(cls, host: str, info: ValidationInfo) -> str:
        # Without tokens, anyone who can reach the API can read it, so only this machine may reach it.
        # Invalid tokens are missing from `info.data`; they are reported separately.
        without_tokens = info.data.get("api_tokens", "") is None
        if host != "localhost" and not ip_address(host).is_loopback and without_tokens:
            raise ValueError("not a loopback address")
        return host

    @field_validator("lease")
    @classmethod
    def _lease_outlasts_a_poll(cls, lease: float, info: ValidationInfo) -> float:
        if lease <= info.data.get("request_timeout", 0) + LEASE_MARGIN_SECONDS:
            raise ValueError("too short")
        return lease

    @property
    def rules(self) -> Rules:
        """When entries are written."""
        return Rules(
            gap_window=timedelta(seconds=max(self.gap_grace, self.poll_interval)),
            gone_after=timedelta(seconds=self.gone_after),
            retire_after=timedelta(seconds=self.retire_after) if self.retire_after else None,
        )

    @property
    def tokens(self) -> tuple[Token, ...]:
        """The tokens that give access to the API; without any, access from this machine needs none."""
        return () if self.api_tokens is None else read_tokens(self.api_tokens)

    @property
    def cors_origins(self) -> tuple[str, ...]:
        """The origins of web pages that may read the API."""
        return tuple(origin.strip() for origin in (self.api_cors_origins or "").split(",") if origin.strip())

    @property
    def write_url(self) -> URL:
        return with_pooler(check_url(self.database_url), self.database_pooler)

    @property
    def read_url(self) -> URL:
        """The database of the API and the reading commands: the replica if there is one."""
        return with_pooler(check_url(self.read_database_url or self.database_url), self.database_pooler)


def load_settings() -> Settings:
    """Read the settings from the environment and from `.env` in the working folder.

    Raises:
        SettingsError: a setting is invalid, or `.env` cannot be read.
    """
    with _reported_errors():
        return Settings()


class _DatabaseSettings(BaseSettings):
    model_config = Settings.model_config

    database_url: str = Settings.model_fields["database_url"]  # type: ignore[assignment]
    database_pooler: str | None = Settings.model_fields["database_pooler"]  # type: ignore[assignment]


def load_database_url() -> URL:
    """Read the database's address alone, as `load_settings` does; the other settings are not checked.

    Raises:
        SettingsError: with one line.
    """
    with _reported_errors():
        settings = _DatabaseSettings()
        return with_pooler(check_url(settings.database_url), settings.database_pooler)


@contextmanager
def _reported_errors() -> Iterator[None]:
    try:
        yield
    except ValidationError as error:
        lines = [_line(detail) for detail in error.errors(include_url=False)]
        raise SettingsError("\n".join(dict.fromkeys(lines))) from None
    except UnicodeDecodeError:
        raise SettingsError(".env is not a text file in UTF-8") from None


def settings_table() -> list[tuple[str, Any, str]]:
    """Return the name and default of each setting, and what is allowed."""
    return [
        (str(field.alias), "user@host" if field.default_factory else field.default, str(field.description))
        for field in Settings.model_fields.values()
    ]


_SECRET = {
    "PARALLEL_API_KEY",
    "RECORDER_API_TOKENS",
    "RECORDER_DATABASE_URL",
    "RECORDER_READ_DATABASE_URL",
}
"""Settings whose value may contain a secret, so that error messages must not repeat it."""


def _line(detail: ErrorDetails) -> str:
    place = detail["loc"][0]
    found = (
        (str(field.alias), field)
        for name, field in Settings.model_fields.items()
        if place in (name, field.alias)
    )
    name, field = next(found)
    secret = name in _SECRET or "@" in str(detail["input"])
    value = "" if secret else f" {str(detail['input'])[:80]!a}"
    return f"{name}:{value} is not allowed; allowed: {field.description}"
