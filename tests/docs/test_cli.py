"""The page on the commands matches the commands."""

from __future__ import annotations

import click
import pytest

from recorder.cli.main import recorder
from tests.support.commands import COMMANDS
from tests.support.pages import first_codes, headings, page, table

PAGE = "docs/reference/cli.md"


def _name(parameter: click.Parameter) -> str:
    if isinstance(parameter, click.Argument):
        return parameter.make_metavar(click.Context(recorder))
    return next(option for option in parameter.opts if option.startswith("--"))


def test_headings_match_the_commands() -> None:
    described = [heading.strip("`") for heading in headings(page(PAGE)) if heading.startswith("`")]
    assert sorted(described) == sorted(COMMANDS)


@pytest.mark.parametrize("name", COMMANDS)
def test_arguments_and_options(name: str) -> None:
    described = first_codes(table(PAGE, f"`{name}`"))
    assert described == [_name(parameter) for parameter in COMMANDS[name].params]


@pytest.mark.parametrize("name", COMMANDS)
def test_defaults(name: str) -> None:
    meanings = {row[0].strip("`"): row[1] for row in table(PAGE, f"`{name}`")}
    for parameter in COMMANDS[name].params:
        if isinstance(parameter, click.Option) and parameter.show_default:
            assert f"{parameter.default} by default" in meanings[_name(parameter)]
