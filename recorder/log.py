"""The log, on standard error: lines for people, or JSON for machines.

What is written there never waits for its reader, so one that hangs does not stop the program.
"""

from __future__ import annotations

import logging
import os
import sys
from typing import Literal, TextIO, cast

import structlog

from recorder.log_stream import LogStream


def configure_logs(log_format: Literal["console", "json"]) -> LogStream:
    """Write the log to standard error in `log_format`; return the stream that has taken its place."""
    stream = sys.stderr = LogStream(sys.stderr.fileno(), _report_loss)
    renderer: structlog.typing.Processor = (
        structlog.processors.JSONRenderer()
        if log_format == "json"
        else structlog.dev.ConsoleRenderer(
            colors=stream.isatty() and not os.environ.get("NO_COLOR") and os.environ.get("TERM") != "dumb",
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
        logger_factory=structlog.WriteLoggerFactory(cast(TextIO, stream)),
    )
    # APScheduler logs each job that it skips because the previous run is not over, which is intended.
    # psycopg logs errors of closing a lost connection, which the recorder's writer has already reported.
    for name in ("apscheduler", "psycopg"):
        logging.getLogger(name).setLevel(logging.CRITICAL)
    return stream


def _report_loss(lines: int) -> None:
    structlog.get_logger("recorder").warning(
        "lines of the log were lost: they could not be written", lines=lines
    )
