"""The only HTTP client: turns one GET of a group into an observation or a failure with a cause."""

from recorder.upstream.client import UpstreamClient

__all__ = ["UpstreamClient"]
