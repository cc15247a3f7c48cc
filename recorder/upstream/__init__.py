"""The only HTTP client: one GET of a group becomes an observation or a failure with a cause."""

from recorder.upstream.client import UpstreamClient

__all__ = ["UpstreamClient"]
