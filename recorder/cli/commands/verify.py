"""`recorder verify`: whether anything recorded was changed."""

from __future__ import annotations

import os
from collections.abc import Collection, Iterator, Mapping
from contextlib import contextmanager
from datetime import UTC, datetime
from pathlib import Path
from time import time

import click
from sqlalchemy import URL, Engine

from recorder.audit.archive.file_check import FileCheck, check_archive
from recorder.audit.checkpoint_files import ChangedFileError, read_checkpoint_file
from recorder.audit.checkpoints import CheckpointError, CheckpointHead, checkpoint_digest
from recorder.audit.verify.findings import MEANINGS, Finding
from recorder.audit.verify.lost_ends import lost_ends
from recorder.audit.verify.rounds import Round, keep_round, read_round, round_file, verify_for
from recorder.audit.verify.runner import Checked, known_of, size_of, verify, verify_at_once
from recorder.audit.verify.tasks import tasks_of
from recorder.cli.common import checked_ids, exit_with, opened_database, report_errors, require_file
from recorder.cli.number_options import CountType, SecondsType
from recorder.cli.output.console import column_table, console, plain, print_json
from recorder.cli.output.files import progress, sizes_text, stoppable
from recorder.cli.output.format import count_text
from recorder.ledger.timestamps import format_time
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
    "--since",
    metavar="FILE",
    type=click.Path(exists=True, dir_okay=False, path_type=Path),
    help="A file of recorder checkpoint; like --checkpoint, but recompute only ledgers with newer entries.",
)
@click.option(
    "--budget",
    type=SecondsType(min=0, min_open=True),
    help="Stop after about this long; the next run with --budget continues there, or begins anew.",
)
@click.option(
    "--jobs",
    type=CountType(min=1),
    help="The number of processes (default: one per core, or one for a small database).",
)
@click.option("--json", "as_json", is_flag=True, help="Print the findings as JSON.")
@report_errors
def command(
    ids: tuple[str, ...],
    *,
    checkpoint: Path | None,
    archive: Path | None,
    since: Path | None,
    budget: float | None,
    jobs: int | None,
    as_json: bool,
) -> None:
    """Recompute every digest and check all derived data: of all groups, or of the given ones.

    With --checkpoint, also check that since then no entries were cut off and no chain was recomputed. With
    --since, do so for all groups, but recompute only the ledgers that have new entries. With --archive, also
    recompute every digest in that file. The exit status is 1 if anything is wrong.
    """
    _refuse("--since", {"IDs": ids, "--checkpoint": checkpoint} if since else {})
    _refuse("--budget", {"IDs": ids, "--archive": archive, "--jobs": jobs} if budget else {})
    compared, option = checkpoint or since, "--since" if since else "--checkpoint"
    heads = {} if compared is None else _read(compared, option)
    note = None
    with stoppable("stopped: the verification is incomplete"), _database() as (engine, url):
        only = _known(engine, ids, heads) if ids else None
        if compared is not None and not heads and size_of(engine):
            raise click.UsageError(f"{option} {compared}: it has no heads, but the database has groups")
        if budget is None:
            found = _verified(engine, url, only, heads, jobs, changed_only=since is not None)
        else:
            found, note = _verified_in_part(engine, url, heads, budget, since)
        check = FileCheck()
        if archive is not None:
            found, check = _with_archive(found, engine, archive, heads)
        unproven = _unproven(engine, heads, check.proven_heads)
    if as_json:
        findings = [finding.members() for finding in found.findings]
        print_json({"entries": found.entries, "groups": found.groups, "findings": findings})
    else:
        if checkpoint is not None and budget is None:
            _print_compared(checkpoint, heads if only is None else heads.keys() & set(only))
        _print(found)
    if note is not None:
        click.echo(note, err=True)
    _print_notes(check.elsewhere, len(unproven))
    if found.findings:
        raise click.exceptions.Exit(1)


def _refuse(option: str, others: Mapping[str, object]) -> None:
    """Refuse those of the other options that are given."""
    for name, given in others.items():
        if given:
            raise click.UsageError(f"{option} cannot be combined with {name}")


def _read(path: Path, option: str) -> Mapping[str, CheckpointHead]:
    try:
        return read_checkpoint_file(path)
    except OSError as error:
        raise click.ClickException(f"{error.filename}: {error.strerror or error}") from None
    except ChangedFileError as error:
        raise click.ClickException(str(error)) from None
    except CheckpointError as error:
        raise click.UsageError(f"{option} {path}: {error}") from None


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
    engine: Engine,
    url: URL,
    only: list[str] | None,
    heads: Mapping[str, CheckpointHead],
    jobs: int | None,
    *,
    changed_only: bool,
) -> Checked:
    total = size_of(engine, only)
    tasks = tasks_of(engine, only, heads, changed_only=changed_only)
    if changed_only:
        verified = {one for task in tasks for one in task.heads}
        total -= sum(head.seq for one, head in heads.items() if one not in verified)
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


def _verified_in_part(
    engine: Engine, url: URL, heads: Mapping[str, CheckpointHead], budget: float, since: Path | None
) -> tuple[Checked, str]:
    """Continue a round for `budget` seconds; return what was found, and how far the round has come."""
    path = round_file(url, "" if since is None else checkpoint_digest([since.read_bytes()]))
    try:
        begun = read_round(path, time())
        entries, groups, findings = 0, 0, list[Finding]()
        done: Round | None = begun
        with progress("verifying", max(size_of(engine), begun.entries)) as advance:
            for checked, done in verify_for(engine, begun, heads, budget, changed_only=since is not None):
                entries, groups = entries + checked.entries, groups + checked.groups
                findings += checked.findings
                advance(begun.entries + entries)
                keep_round(path, done)
    except OSError as error:
        reason = f"{error.filename or path}: {error.strerror or error}"
        raise click.ClickException(f"cannot keep how far the verification has come: {reason}") from None
    found = Checked(entries, groups, tuple(sorted(findings)))
    return found, _round_text(begun, found, done)


def _round_text(begun: Round, found: Checked, done: Round | None) -> str:
    size = sizes_text(begun.entries + found.entries, begun.groups + found.groups)
    wrong = count_text(begun.findings + len(found.findings), "finding")
    began = format_time(datetime.fromtimestamp(begun.began_at, UTC))
    if done is None:
        return f"Note: the round that began at {began} is complete: {size}, {wrong}"
    return f"Note: stopped for now; the round that began at {began} has verified {size}, {wrong}"


def _with_archive(
    found: Checked, engine: Engine, path: Path, heads: Mapping[str, CheckpointHead]
) -> tuple[Checked, FileCheck]:
    """Return what was found with an archive too, and of it alone."""
    try:
        with progress("verifying the archive", path.stat().st_size) as advance:
            check = check_archive(engine, path, heads, advance)
    except OSError as error:
        raise click.ClickException(f"{error.filename or path}: {error.strerror or error}") from None
    findings = tuple(sorted({*found.findings, *check.findings}))
    return Checked(found.entries + check.entries, found.groups, findings), check


def _unproven(engine: Engine, heads: Mapping[str, CheckpointHead], proven: Collection[str]) -> list[str]:
    """Return the groups whose checkpoint heads are entries that only an archive has."""
    with reading(engine) as connection:
        archived = find_tombstones(connection, heads.keys() - set(proven))
    return [one for one, tombstone in archived.items() if heads[one].seq < tombstone.head_seq]


def _print_compared(checkpoint: Path, heads: Collection[str]) -> None:
    if console().is_terminal:
        click.echo(f"compared with {count_text(len(heads), 'head')} of {checkpoint}")


def _print_notes(elsewhere: int, unproven: int) -> None:
    if elsewhere:
        click.echo(
            f"Note: {count_text(elsewhere, 'group')} of the archive stayed when it was written, and can be "
            "found in a later one",
            err=True,
        )
    if unproven:
        click.echo(
            f"Note: {count_text(unproven, 'head')} of the checkpoint came before the newest entry of a "
            "group that is archived by now; to prove them too, give its file with --archive",
            err=True,
        )


def _print(found: Checked) -> None:
    size = sizes_text(found.entries, found.groups)
    if not found.findings:
        click.echo(f"{size}: intact")
        return
    lost = lost_ends(found.findings)
    table = column_table()
    table.add_column("group", overflow="fold")
    table.add_column("seq", justify="right", no_wrap=True)
    table.add_column("problem", no_wrap=True)
    table.add_column("what it means", overflow="fold")
    for finding in sorted({*found.findings} - {*lost}):
        members = finding.members()
        meaning = f"{MEANINGS[finding.problem]}: {members['detail']}"
        table.add_row(plain(members["taskgroup_id"]), str(finding.seq), finding.problem.value, plain(meaning))
    if len(lost) < len(found.findings):
        console().print(table)
    if lost:
        number = count_text(len({finding.taskgroup_id for finding in lost}), "group")
        click.echo(
            f"The newest entries of {number} are not those of the checkpoint; nothing else is wrong with "
            "them. The database was restored from an older backup, or a standby took over that lacked them; "
            "or somebody replaced them. Names: --json"
        )
    click.echo(f"{size}: {count_text(len(found.findings), 'finding')}")
