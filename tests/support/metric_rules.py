"""The rules of `promtool check metrics`."""

from __future__ import annotations

import re
from collections.abc import Iterator

from prometheus_client.parser import text_string_to_metric_families

SNAKE_CASE = re.compile("[a-z][a-z0-9_]*")
TYPES = {"counter", "gauge", "histogram", "summary"}
ABBREVIATIONS = {*"smhdb", "ms", "us", "ns", "sec", "kb", "mb", "gb", "tb", "pb"}
BASE_UNITS = {"amperes", "bytes", "celsius", "grams", "joules", "kelvin", "meters", "seconds", "volts"}
OTHER_UNITS = {
    *("minutes", "hours", "days", "weeks", "bits", "fahrenheit", "rankine", "kelvins", "inches", "yards"),
    *("miles", "calories", "pounds", "ounces"),
}
PREFIXES = "pico|nano|micro|milli|centi|deci|deca|hecto|kilo|kibi|mega|mebi|giga|gibi|tera|tebi|peta|pebi"
UNIT = re.compile(f"({PREFIXES})?({'|'.join(BASE_UNITS | OTHER_UNITS)})")


def violations(text: str) -> set[str]:
    """Return the violations of the rules by metrics in the text format, each as `name: rule`."""
    types = dict(re.findall(r"^# TYPE (\S+) (\S+)$", text, re.MULTILINE))
    described = dict(re.findall(r"^# HELP (\S+) (\S.*)$", text, re.MULTILINE))
    assert types
    in_names = {f"{name}: {rule}" for name, kind in types.items() for rule in _name_violations(name, kind)}
    without_help = {f"{name}: no help" for name in types.keys() - described.keys()}
    return in_names | without_help | set(_label_violations(text))


def _name_violations(name: str, kind: str) -> Iterator[str]:
    first, *parts = name.split("_")
    if not SNAKE_CASE.fullmatch(name):
        yield "not in snake_case"
    if (kind == "counter") != (parts[-1:] == ["total"]):
        yield "counters, and only they, end in _total"
    if parts[-1:] in (["count"], ["sum"], ["bucket"]):
        yield "ends like a part of a histogram"
    if TYPES & {*parts}:
        yield "has a type in its name"
    if ABBREVIATIONS & {*parts}:
        yield "has an abbreviated unit"
    if any(UNIT.fullmatch(part) and part not in BASE_UNITS for part in (first, *parts)):
        yield "not in a base unit"


def _label_violations(text: str) -> Iterator[str]:
    for family in text_string_to_metric_families(text):
        own = {"histogram": "le", "summary": "quantile"}.get(family.type)
        for label in {label for sample in family.samples for label in sample.labels} - {own}:
            if not SNAKE_CASE.fullmatch(label):
                yield f"{family.name}: label {label} not in snake_case"
            if label in {"le", "quantile"}:
                yield f"{family.name}: label {label} of another type"
