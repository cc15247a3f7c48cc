"""The types of the provider's own routes."""

from __future__ import annotations

from typing import Literal

from pydantic import BaseModel, Field, JsonValue, RootModel


class ProviderGroup(RootModel[dict[str, JsonValue]]):
    """The group as the provider last reported it, in the provider's own shape.

    Usually taskgroup_id, metadata, created_at and status.
    """


class ProviderErrorMembers(BaseModel):
    """What went wrong."""

    ref_id: str = Field(description="the id of this error; for an internal error, the log has it too")
    message: str
    detail: JsonValue = Field(description="more information, as an object; null if there is none")


class ProviderError(BaseModel):
    """An error in the provider's own shape."""

    type: Literal["error"]
    error: ProviderErrorMembers
