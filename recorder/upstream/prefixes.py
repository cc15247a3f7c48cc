"""The path prefixes of the provider's API."""

from __future__ import annotations

API_VERSIONS = ("/v1", "/v1beta")
"""What a prefix can end with: the present version, and the one before it."""


def other_prefix(prefix: str) -> str | None:
    """Return the prefix with the other version of the API; None if it does not end with one."""
    for version, other in (API_VERSIONS, API_VERSIONS[::-1]):
        if prefix.endswith(version):
            return prefix.removesuffix(version) + other
    return None
