"""`recorder verify`: whether anything recorded was changed."""

from __future__ import annotations

import os
from collections.abc import Collection, Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path

import click
from sqlalchemy import URL, Engine

from recorder.audit.archive.file_check import check_archive
from recorder.audit.checkpoints import CheckpointError, CheckpointHead, checkpoint_digest, read_checkpoint
from recorder.audit.file_sums import kept_sum, sum_path
from recorder.audit.verify.findings import MEANINGS, Finding
from recorder.audit.verify.runner import Checked, known_of, size_of, tasks_of, verify, verify_at_once
from recorder.cli.common import checked_ids, exit_with, opened_database, report_errors, require_file
from recorder.cli.output.console import column_table, console, plain, print_json
from recorder.cli.output.files import progress, sizes_text, stoppable
from recorder.cli.output.format import count_text
from recorder.settings_loading import load_settings
from recorder.store.schema import require_head, state_of
from recorder.store.tombstones import find_tombstones
from recorder.store.transactions import reading

_WORTH_A_PROCESS = 50_000
"""With fewer entries than this, one process is done before others would have started."""


@click.command("verify")
@click.argument("ids", nargs=-1, metavar="[ID]...")
@click.option(
    "--checkpoint",
    metavar="FILE",
    type=click.Path(exists=True, dir_okay=False, path_type=Path),
    help="A file of recorder checkpoint; its heads must still be there, unchanged.",
)
@click.option(
    "--archive",
    metavar="FILE",
    type=click.Path(exists=True, dir_okay=False, path_type=Path),
    help="A file of recorder archive; it and the tombstones in the database must prove each other.",
)
@click.option(
    "--jobs",
    type=click.IntRange(min=1),
    help="The number of processes (default: one per core, or one for a small database).",
)
@click.option("--json", "as_json", is_flag=True, help="Print the findings as JSON.")
@report_errors
def command(
    ids: tuple[str, ...],
    checkpoint: Path | None,
    archive: Path | None,
    jobs: int | None,
    *,
    as_json: bool,
) -> None:
    """Recompute every digest and check all derived data: of all groups, or of the given ones.

    With --checkpoint, also check that since then no entries were cut off and no chain was recomputed. With
    --archive, also recompute every digest in that file. The exit status is 1 if anything is wrong.
    """
    heads = {} if checkpoint is None else _read(checkpoint)
    with stoppable("stopped: the verification is incomplete"), _database() as (engine, url):
        only = _known(engine, ids, heads) if ids else None
        if checkpoint is not None and not heads and size_of(engine):
            raise click.UsageError(f"--checkpoint {checkpoint}: it has no heads, but the database has groups")
        found = _verified(engine, url, only, heads, jobs)
        proven: Collection[str] = ()
        if archive is not None:
            found, proven = _with_archive(found, engine, archive, heads)
        unproven = _unproven(engine, heads, proven)
    if as_json:
        findings = [finding.members() for finding in found.findings]
        print_json({"entries": found.entries, "groups": found.groups, "findings": findings})
    else:
        if checkpoint is not None and console().is_terminal:
            compared = len(heads if only is None else heads.keys() & set(only))
            click.echo(f"compared with {count_text(compared, 'head')} of {checkpoint}")
        _print(found)
    if unproven:
        click.echo(
            f"Note: {count_text(len(unproven), 'head')} of the checkpoint came before the newest entry of a "
            "group that is archived by now; to prove them too, give its file with --archive",
            err=True,
        )
    if found.findings:
        raise click.exceptions.Exit(1)


def _read(path: Path) -> Mapping[str, CheckpointHead]:
    try:
        lines = path.read_bytes().splitlines(keepends=True)
        known = kept_sum(path)
        if known is not None and known != checkpoint_digest(lines):
            raise click.ClickException(
                f"{path}: the checkpoint file was changed: its digest is not the one in {sum_path(path).name}"
            )
    except OSError as error:
        raise click.ClickException(f"{error.filename}: {error.strerror or error}") from None
    try:
        return read_checkpoint(lines)
    except CheckpointError as error:
        raise click.UsageError(f"--checkpoint {path}: {error}") from None


@contextmanager
def _database() -> Iterator[tuple[Engine, URL]]:
    url = load_settings(needed=()).read_url
    require_file(url)
    with opened_database(url, read_only=True) as engine:
        require_head(state_of(engine))
        yield engine, url


def _known(engine: Engine, ids: tuple[str, ...], heads: Mapping[str, CheckpointHead]) -> list[str]:
    good, complaints = checked_ids(list(ids))
    known = known_of(engine, good) | heads.keys()
    exit_with([*complaints, *(f"{one}: was never watched" for one in good if one not in known)])
    return good


def _verified(
    engine: Engine, url: URL, only: list[str] | None, heads: Mapping[str, CheckpointHead], jobs: int | None
) -> Checked:
    total = size_of(engine, only)
    tasks = tasks_of(engine, only, heads)
    if jobs is None:
        jobs = 1 if total < _WORTH_A_PROCESS else len(os.sched_getaffinity(0))
    several = min(jobs, len(tasks)) > 1
    entries, groups, findings = 0, 0, list[Finding]()
    with progress("verifying", total) as advance:
        for checked in verify_at_once(url, tasks, jobs) if several else verify(engine, tasks):
            entries, groups = entries + checked.entries, groups + checked.groups
            findings += checked.findings
            advance(entries)
    return Checked(entries, groups, tuple(sorted(findings)))


def _with_archive(
    found: Checked, engine: Engine, path: Path, heads: Mapping[str, CheckpointHead]
) -> tuple[Checked, Collection[str]]:
    """Return what was found with an archive too, and the groups whose checkpoint heads it proves."""
    try:
        with progress("verifying the archive", path.stat().st_size) as advance:
            check = check_archive(engine, path, heads, advance)
    except OSError as error:
        raise click.ClickException(f"{error.filename or path}: {error.strerror or error}") from None
    findings = tuple(sorted({*found.findings, *check.findings}))
    return Checked(found.entries + check.entries, found.groups, findings), check.proven_heads


def _unproven(engine: Engine, heads: Mapping[str, CheckpointHead], proven: Collection[str]) -> list[str]:
    """Return the groups whose checkpoint heads are entries that only an archive has."""
    with reading(engine) as connection:
        archived = find_tombstones(connection, heads.keys() - set(proven))
    return [one for one, tombstone in archived.items() if heads[one].seq < tombstone.head_seq]


def _print(found: Checked) -> None:
    size = sizes_text(found.entries, found.groups)
    if not found.findings:
        click.echo(f"{size}: intact")
        return
    table = column_table()
    table.add_column("group", overflow="fold")
    table.add_column("seq", justify="right", no_wrap=True)
    table.add_column("problem", no_wrap=True)
    table.add_column("what it means", overflow="fold")
    for finding in found.findings:
        members = finding.members()
        meaning = f"{MEANINGS[finding.problem]}: {members['detail']}"
        table.add_row(plain(members["taskgroup_id"]), str(finding.seq), finding.problem.value, plain(meaning))
    console().print(table)
    click.echo(f"{size}: {count_text(len(found.findings), 'finding')}")
