"""A process that must not outlive the one that started it."""

from __future__ import annotations

import os
import signal
import threading
import time

_LOOK_SECONDS = 0.5


def end_with_parent() -> None:
    """From now on end this process, as SIGTERM does, once its parent is gone.

    A parent that is killed cannot tell; what it started would go on, and hold its port.
    """
    parent = os.getppid()

    def watch() -> None:
        while os.getppid() == parent:
            time.sleep(_LOOK_SECONDS)
        os.kill(os.getpid(), signal.SIGTERM)

    threading.Thread(target=watch, name="lifeline", daemon=True).start()
