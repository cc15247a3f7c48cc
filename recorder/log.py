"""The log, on standard error: lines for people, or JSON for machines."""

from __future__ import annotations

import logging
import sys
from typing import Literal

import structlog


def configure_logs(log_format: Literal["console", "json"]) -> None:
    """Write the log to standard error in `log_format`."""
    renderer: structlog.typing.Processor = (
        structlog.processors.JSONRenderer()
        if log_format == "json"
        else structlog.dev.ConsoleRenderer(
            colors=sys.stderr.isatty(),
            # The default also shows local variables, and the API key may be among them.
            exception_formatter=structlog.dev.plain_traceback,
        )
    )
    structlog.configure(
        processors=[
            structlog.processors.add_log_level,
            structlog.processors.TimeStamper(fmt="iso", utc=True),
            *([structlog.processors.format_exc_info] if log_format == "json" else []),
            renderer,
        ],
        wrapper_class=structlog.make_filtering_bound_logger(logging.INFO),
        logger_factory=structlog.PrintLoggerFactory(sys.stderr),
    )
    # APScheduler logs each job that it skips because the previous run is not over, which is intended.
    # psycopg logs errors of closing a lost connection, which the recorder's writer has already reported.
    for name in ("apscheduler", "psycopg"):
        logging.getLogger(name).setLevel(logging.CRITICAL)
