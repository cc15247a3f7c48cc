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

    ref_id: str = Field(description="the path of the request, or the name of the error in the log")
    message: str
    detail: JsonValue = Field(description="more about it, as an object; null where there is nothing more")


class ProviderError(BaseModel):
    """An error in the provider's own shape."""

    type: Literal["error"]
    error: ProviderErrorMembers
