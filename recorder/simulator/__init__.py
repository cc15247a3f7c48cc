"""A faithful stand-in for the upstream provider: real HTTP, runs with lives of their own, outages."""

from recorder.simulator.clock import Clock
from recorder.simulator.lives import PROCESSOR_SECONDS, Outcome, OutcomeMix
from recorder.simulator.outages import Fault, Outage, parse_outage
from recorder.simulator.server import Simulator, running, serve
from recorder.simulator.settings import SimulatorSettings

__all__ = [
    "PROCESSOR_SECONDS",
    "Clock",
    "Fault",
    "Outage",
    "Outcome",
    "OutcomeMix",
    "Simulator",
    "SimulatorSettings",
    "parse_outage",
    "running",
    "serve",
]
