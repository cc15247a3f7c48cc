"""The page on settings matches the settings."""

from __future__ import annotations

from typing import Any

from recorder.settings import Settings
from recorder.settings_loading import settings_table
from tests.support.pages import table


def _default(name: str, default: Any) -> str:
    if name == "RECORDER_ACTOR":
        return "user@host"
    return "–" if default is None else f"`{default}`"


def test_the_table_matches_the_settings() -> None:
    rows = [row[:3] for row in table("docs/reference/settings.md", "Settings")]
    assert rows == [
        [f"`{name}`", _default(name, default), allowed] for name, default, allowed in settings_table()
    ]


def test_the_default_actor_is_user_at_host() -> None:
    user, _, host = Settings.model_fields["actor"].get_default(call_default_factory=True).partition("@")
    assert user and host
