"""A faithful stand-in for the upstream provider: real HTTP, runs with lives of their own, planned trouble."""

from recorder.simulator.catalogue import KINDS
from recorder.simulator.clock import SimulatedClock
from recorder.simulator.lives import PROCESSOR_SECONDS, OutcomeMix, RunOutcome
from recorder.simulator.outages import Fault, Outage, parse_outage
from recorder.simulator.scenario import ScenarioError, parse_scenario
from recorder.simulator.scenes import Scene
from recorder.simulator.server import Simulator, running, serve_simulator
from recorder.simulator.settings import SimulatorSettings

__all__ = [
    "KINDS",
    "PROCESSOR_SECONDS",
    "Fault",
    "Outage",
    "OutcomeMix",
    "RunOutcome",
    "ScenarioError",
    "Scene",
    "SimulatedClock",
    "Simulator",
    "SimulatorSettings",
    "parse_outage",
    "parse_scenario",
    "running",
    "serve_simulator",
]
