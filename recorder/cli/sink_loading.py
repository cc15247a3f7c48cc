"""Load the sinks from the file that RECORDER_NOTIFY_FILE names."""

from __future__ import annotations

from pathlib import Path

from recorder.notify.sink_file import SinkFile, read_sink_file
from recorder.notify.sinks import Sink, SinkKind
from recorder.setting_names import given_values
from recorder.settings import Settings, SettingsError

SETTING = "RECORDER_NOTIFY_FILE"


def load_sinks(settings: Settings) -> tuple[Sink, ...]:
    """Return the sinks, none if the setting is not set.

    Raises:
        SettingsError: the file cannot be read, or has mistakes, each of which is a line.
    """
    path = settings.notify_file
    if path is None:
        return ()
    found = load_sink_file(path)
    if found.complaints:
        raise SettingsError("\n".join(f"{SETTING}: {path}: {complaint}" for complaint in found.complaints))
    return found.sinks


def load_sink_file(path: Path) -> SinkFile:
    """Read a file of sinks, and check that the services in it are known.

    Raises:
        SettingsError: the file cannot be read.
    """
    try:
        text = path.read_text("utf-8-sig")
    except UnicodeDecodeError:
        raise SettingsError(f"{SETTING}: {path} is not a text file in UTF-8") from None
    except OSError as error:
        raise SettingsError(f"{SETTING}: {path} cannot be read: {error.strerror or error}") from None
    found = read_sink_file(text, given_values())
    unknown = [sink for sink in found.sinks if sink.kind is SinkKind.NOTIFY and not _is_known(sink)]
    complaints = [
        f"{sink.kind.value} ({sink.name!a}): url_env names a variable whose value is no address of a service "
        "that Apprise knows, such as slack://… or mailto://…"
        for sink in unknown
    ]
    sinks = tuple(sink for sink in found.sinks if sink not in unknown)
    return SinkFile(sinks, (*found.complaints, *complaints))


def _is_known(sink: Sink) -> bool:
    from recorder.notify.sending import knows_service  # noqa: PLC0415 - Apprise takes long to load

    return knows_service(sink.address)
