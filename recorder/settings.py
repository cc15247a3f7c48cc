"""The settings: a frozen object that is passed on; `settings_loading` reads them."""

from __future__ import annotations

from datetime import timedelta
from ipaddress import ip_address
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any, Literal, Self

from pydantic import (
    AfterValidator,
    Field,
    PrivateAttr,
    SecretStr,
    ValidationInfo,
    field_validator,
)
from pydantic_settings import BaseSettings, PydanticBaseSettingsSource, SettingsConfigDict
from sqlalchemy import URL

from recorder.database_url import DEFAULT_DATABASE_URL
from recorder.ledger.transitions import Rules
from recorder.settings_sources import TidySource
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
from recorder.tokens import Scope, Token, read_tokens

LEASE_MARGIN_SECONDS = 2
"""The part of a lease that is reserved for writing the outcome of a request."""

MAX_DURATION_SECONDS = 10 * 365 * 86400

_SECONDS = f"seconds, more than 0 and at most {MAX_DURATION_SECONDS}"

Seconds = Annotated[float, Field(gt=0, le=MAX_DURATION_SECONDS, allow_inf_nan=False)]


class SettingsError(ValueError):
    """Settings are missing or invalid; the text has a line for each, with its name and what is allowed."""


class Settings(BaseSettings):
    """All settings; `alias` is the name of the environment variable, `description` what is allowed.

    Using one whose value is not allowed raises SettingsError.
    """

    model_config = SettingsConfigDict(
        frozen=True,
        env_file=".env",
        # Windows editors put a byte order mark first.
        env_file_encoding="utf-8-sig",
        extra="ignore",
        hide_input_in_errors=True,
        env_ignore_empty=True,
    )

    _complaints: dict[str, str] = PrivateAttr(default_factory=dict)

    api_key: Annotated[SecretStr, AfterValidator(checked_api_key)] | None = Field(
        None,
        alias="PARALLEL_API_KEY",
        description="the provider's key: printable ASCII without spaces or quotes",
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
    max_interval: Seconds = Field(60, alias="RECORDER_MAX_INTERVAL", description=_SECONDS)
    settled_interval: Seconds = Field(300, alias="RECORDER_SETTLED_INTERVAL", description=_SECONDS)
    retire_after: float = Field(
        604800,
        ge=0,
        le=MAX_DURATION_SECONDS,
        allow_inf_nan=False,
        alias="RECORDER_RETIRE_AFTER",
        description=f"seconds, at most {MAX_DURATION_SECONDS}, or 0 for never",
    )
    stall_after: float = Field(
        1800,
        ge=0,
        le=MAX_DURATION_SECONDS,
        allow_inf_nan=False,
        alias="RECORDER_STALL_AFTER",
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
    metrics_port: int | None = Field(
        None, ge=1, le=65535, alias="RECORDER_METRICS_PORT", description="a port number from 1 to 65535"
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
    enrol_dir: Path | None = Field(None, alias="RECORDER_ENROL_DIR", description="an existing folder")
    notify_file: Path | None = Field(
        None, alias="RECORDER_NOTIFY_FILE", description="a TOML file that lists sinks of events"
    )
    archive_dir: Path | None = Field(None, alias="RECORDER_ARCHIVE_DIR", description="an existing folder")
    archive_after: float = Field(
        0,
        ge=0,
        le=MAX_DURATION_SECONDS,
        allow_inf_nan=False,
        alias="RECORDER_ARCHIVE_AFTER",
        description=f"seconds, at most {MAX_DURATION_SECONDS}, or 0 for never; needs RECORDER_ARCHIVE_DIR",
    )
    log_format: Literal["console", "json"] = Field(
        "console", alias="RECORDER_LOG_FORMAT", description="console or json"
    )

    @field_validator("archive_after")
    @classmethod
    def _with_folder(cls, seconds: float, info: ValidationInfo) -> float:
        # An invalid folder is missing from `info.data`; it is reported separately.
        if seconds and info.data.get("archive_dir", "") is None:
            raise ValueError("no folder to write archives into")
        return seconds

    @field_validator("checkpoint_dir", "enrol_dir", "archive_dir")
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

    @classmethod
    def settings_customise_sources(
        cls,
        settings_cls: type[BaseSettings],
        init_settings: PydanticBaseSettingsSource,
        env_settings: PydanticBaseSettingsSource,
        dotenv_settings: PydanticBaseSettingsSource,
        file_secret_settings: PydanticBaseSettingsSource,
    ) -> tuple[PydanticBaseSettingsSource, ...]:
        return init_settings, TidySource(env_settings), TidySource(dotenv_settings)

    def without(self, complaints: dict[str, str]) -> Self:
        """Return these settings without those that there is a complaint about, by name."""
        copied = self.model_copy()
        copied._complaints = complaints
        for name in complaints:
            del copied.__dict__[name]
        return copied

    if not TYPE_CHECKING:

        def __getattr__(self, name: str) -> Any:
            complaints = super().__getattr__("_complaints")
            if name in complaints:
                raise SettingsError(complaints[name])
            return super().__getattr__(name)

    @property
    def least_lease(self) -> float:
        """A lease must be longer than this, in seconds."""
        return self.request_timeout + LEASE_MARGIN_SECONDS

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
    def may_enrol(self) -> bool:
        """Whether there is a token that allows to enrol groups over HTTP."""
        return any(token.scope is Scope.ENROL for token in self.tokens)

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
