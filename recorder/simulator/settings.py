"""The settings of a simulator."""

from __future__ import annotations

from dataclasses import dataclass, field
from pathlib import Path

from recorder.simulator.outages import Outage
from recorder.simulator.runs import OutcomeMix
from recorder.simulator.scenes import Scene

MIN_SPEED = 0.001
MAX_SPEED = 1_000_000


@dataclass(frozen=True, slots=True)
class SimulatorSettings:
    """Settings of one simulator.

    `port` 0 picks a free port. `speed` is the number of simulated seconds that pass for runs in one real
    second; it affects neither timestamps nor the times of outages and scenes. Without `api_key`, any
    non-empty key is accepted. Without `log_path`, requests are not logged.

    Raises:
        ValueError: the port or the speed is out of range, or the key is empty.
    """

    host: str = "127.0.0.1"
    port: int = 0
    seed: int = 0
    speed: float = 1.0
    api_key: str | None = field(default=None, repr=False)
    outages: tuple[Outage, ...] = ()
    scenario: tuple[Scene, ...] = ()
    log_path: Path | None = None
    mix: OutcomeMix = field(default_factory=OutcomeMix)

    def __post_init__(self) -> None:
        if not 0 <= self.port <= 65535:
            raise ValueError(f"the port must be from 0 to 65535, not {self.port}")
        if not MIN_SPEED <= self.speed <= MAX_SPEED:
            raise ValueError(f"the speed must be from {MIN_SPEED} to {MAX_SPEED}, not {self.speed}")
        if self.api_key == "":
            raise ValueError("the API key must not be empty")
