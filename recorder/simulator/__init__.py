"""A faithful stand-in for the upstream provider: real HTTP, runs with realistic lives, scripted faults."""

from recorder.simulator.outages import Fault, Outage, parse_outage
from recorder.simulator.runs import PROCESSOR_SECONDS, OutcomeMix, RunOutcome
from recorder.simulator.scenario import SCENE_KINDS, ScenarioError, parse_scenario
from recorder.simulator.scenes import Scene
from recorder.simulator.server import Simulator, running, serve_simulator
from recorder.simulator.settings import SimulatorSettings

__all__ = [
    "PROCESSOR_SECONDS",
    "SCENE_KINDS",
    "Fault",
    "Outage",
    "OutcomeMix",
    "RunOutcome",
    "ScenarioError",
    "Scene",
    "Simulator",
    "SimulatorSettings",
    "parse_outage",
    "parse_scenario",
    "running",
    "serve_simulator",
]
