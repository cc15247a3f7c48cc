"""The current SQL of the views that people query.

The migrations create the views, and a test compares the result with this module. To change a view, change it
here and add a revision that drops and recreates it.
"""

from __future__ import annotations

from recorder.ledger.status_fields import RUN_STATUSES

VIEWS = (
    *("status_history", "latest_status", "group_completion"),
    *("group_milestones", "group_metadata", "observation_gaps", "archived_groups", "task_runs"),
)


def create_view_statements(dialect: str) -> dict[str, str]:
    """Return the CREATE VIEW statement of each view, by name; `dialect` is `sqlite` or `postgresql`."""
    sql = _Postgresql() if dialect == "postgresql" else _Sqlite()
    queries = (
        _status_history(sql),
        _latest_status(sql),
        _group_completion(sql),
        _GROUP_MILESTONES,
        _GROUP_METADATA,
        _observation_gaps(sql),
        _ARCHIVED_GROUPS,
        _task_runs(sql),
    )
    return {name: f"CREATE VIEW {name} AS {query}" for name, query in zip(VIEWS, queries, strict=True)}


class _Sqlite:
    """Casts give expressions a type. Without one they are never equal to a number that is bound as text."""

    def boolean(self, expression: str) -> str:
        return self.integer(expression)

    def integer(self, expression: str) -> str:
        return f"CAST({expression} AS INTEGER)"

    def real(self, expression: str) -> str:
        return f"CAST({expression} AS REAL)"

    def text(self, expression: str) -> str:
        return f"CAST({expression} AS TEXT)"

    def json(self, text: str) -> str:
        return text

    def seconds(self, start: str, end: str) -> str:
        # Microseconds are subtracted as integers, so that both databases return the same double. SQLite's
        # own functions round to milliseconds, possibly into the next second: they get whole seconds only.
        whole = f"strftime('%s', substr({end}, 1, 19)) - strftime('%s', substr({start}, 1, 19))"
        return f"(({whole}) * 1000000 + substr({end}, 21, 6) - substr({start}, 21, 6)) / 1000000.0"

    def elapsed(self, start: str, end: str) -> str:
        return f"max(0.0, {self.seconds(start, end)})"

    def least(self, one: str, other: str) -> str:
        return f"min({one}, {other})"


class _Postgresql:
    def boolean(self, expression: str) -> str:
        return expression

    def integer(self, expression: str) -> str:
        return expression

    def real(self, expression: str) -> str:
        return expression

    def text(self, expression: str) -> str:
        return expression

    def json(self, text: str) -> str:
        # json has no equality, so DISTINCT, GROUP BY and UNION would fail.
        return f"{text}::jsonb"

    def seconds(self, start: str, end: str) -> str:
        return f"extract(epoch FROM {end} - {start})::double precision"

    def elapsed(self, start: str, end: str) -> str:
        return f"greatest(0.0, extract(epoch FROM {end} - {start}))::double precision"

    def least(self, one: str, other: str) -> str:
        return f"least({one}, {other})"


_Sql = _Sqlite | _Postgresql


def _status_history(sql: _Sql) -> str:
    """The end of an interval is in the next entry, or in the watch while there is none."""
    return f"""
        SELECT
            e.taskgroup_id,
            {_status_columns(sql)}
        FROM entries e
        LEFT JOIN entries n ON n.taskgroup_id = e.taskgroup_id AND n.seq = e.seq + 1
        LEFT JOIN watches w ON w.taskgroup_id = e.taskgroup_id AND w.head_seq = e.seq
        WHERE e.kind = 'status'"""


def _latest_status(sql: _Sql) -> str:
    """A group without a status yet has a row of nulls."""
    return f"""
        SELECT
            w.taskgroup_id,
            {_status_columns(sql)},
            w.state,
            w.due_at,
            w.expected_runs,
            w.expected_by
        FROM watches w
        LEFT JOIN entries e ON e.taskgroup_id = w.taskgroup_id AND e.seq = w.status_seq
        LEFT JOIN entries n ON n.taskgroup_id = w.taskgroup_id AND n.seq = w.status_seq + 1"""


def _status_columns(sql: _Sql) -> str:
    """A status `e` with the end of its interval: from the entry `n` after it, else from the watch `w`."""
    run_counts = ",\n            ".join(f"e.{status}" for status in RUN_STATUSES)
    return f"""
            e.seq,
            e.at AS observed_at,
            {sql.text("coalesce(n.previous_last_seen_at, w.last_seen_at)")} AS last_seen_at,
            {sql.integer("coalesce(n.previous_polls, w.polls)")} AS polls,
            e.phase,
            e.num_task_runs,
            {run_counts},
            e.is_active,
            e.status_message,
            e.modified_at,
            {sql.json("e.metadata")} AS metadata,
            e.created_at,
            {sql.json("e.anomalies")} AS anomalies,
            e.digest"""


def _group_completion(sql: _Sql) -> str:
    """While an episode is open (`censored`), what changes without an entry comes from the watch."""
    longer_than = sql.elapsed("o.started_at", "o.last_seen_at")
    at_least = sql.elapsed("o.started_latest", "o.last_seen_at")
    duration = f"CASE WHEN o.censored THEN {longer_than} ELSE o.duration_seconds END"
    earliest = f"CASE WHEN o.censored THEN {at_least} ELSE o.duration_earliest_seconds END"
    shared = sql.least("o.gap_seconds", longer_than)
    in_gaps = f"CASE WHEN o.censored THEN {shared} ELSE o.gap_seconds END"
    polls = "CASE WHEN o.censored THEN o.polls + o.held_polls ELSE o.polls END"
    return f"""
        WITH o AS (
            SELECT
                p.*,
                p.completed_at IS NULL AS censored,
                CASE WHEN w.head_seq = p.seen_seq THEN w.last_seen_at ELSE p.seen_at END AS last_seen_at,
                CASE WHEN w.head_kind = 'status' THEN w.polls ELSE 0 END AS held_polls
            FROM episodes p
            LEFT JOIN watches w ON w.taskgroup_id = p.taskgroup_id
        )
        SELECT
            o.taskgroup_id,
            o.number AS episode,
            o.started_at,
            o.started_earliest,
            o.started_latest,
            o.completed_at,
            o.completed_earliest,
            o.completed_latest,
            {sql.real(duration)} AS duration_seconds,
            {sql.real(earliest)} AS duration_earliest_seconds,
            o.duration_latest_seconds,
            {sql.boolean("o.censored")} AS censored,
            o.first_sight,
            o.outcome,
            o.runs_total,
            o.runs_completed,
            o.runs_failed,
            o.runs_cancelled,
            {sql.real(in_gaps)} AS gap_seconds,
            {sql.integer(polls)} AS polls
        FROM o"""


_GROUP_MILESTONES = """
        SELECT
            m.taskgroup_id,
            m.episode,
            m.fraction,
            m.runs,
            m.at,
            m.earliest,
            m.latest,
            m.basis,
            m.seconds,
            m.seconds_earliest,
            m.seconds_latest
        FROM milestones m"""


_GROUP_METADATA = """
        SELECT
            l.taskgroup_id,
            l.name AS key,
            l.text AS value,
            l.type
        FROM group_labels l
        JOIN watches w ON w.taskgroup_id = l.taskgroup_id"""


_ARCHIVED_GROUPS = """
        SELECT
            t.taskgroup_id,
            t.head_seq,
            t.head_digest,
            t.entries,
            t.first_at,
            t.last_at,
            t.archived_at,
            t.archive_sha256
        FROM tombstones t"""


def _task_runs(sql: _Sql) -> str:
    """The newest snapshot of each group: everything here is the provider's claim."""
    finished = "r.status IN ('completed', 'failed', 'cancelled')"
    return f"""
        WITH r AS (
            SELECT
                c.*,
                s.taken_at,
                CASE WHEN c.created_at <= c.modified_at
                    THEN {sql.seconds("c.created_at", "c.modified_at")} END AS lasted
            FROM run_claims c
            JOIN run_snapshots s ON s.taskgroup_id = c.taskgroup_id AND s.seq = c.seq
            WHERE c.seq = (SELECT max(n.seq) FROM run_snapshots n WHERE n.taskgroup_id = c.taskgroup_id)
        )
        SELECT
            r.taskgroup_id,
            r.seq,
            r.taken_at,
            r.run_id,
            r.processor,
            r.status AS claimed_status,
            r.created_at AS claimed_created_at,
            r.modified_at AS claimed_modified_at,
            {sql.real(f"CASE WHEN {finished} THEN r.lasted END")} AS claimed_duration_seconds,
            {sql.real("CASE WHEN r.status = 'running' THEN r.lasted END")} AS claimed_wait_seconds
        FROM r"""


def _observation_gaps(sql: _Sql) -> str:
    return f"""
        SELECT
            e.taskgroup_id,
            e.seq,
            e.gap_from,
            e.at AS gap_to,
            {sql.real(sql.seconds("e.gap_from", "e.at"))} AS duration_seconds,
            e.gap_cause AS cause,
            e.gap_attempts AS attempts,
            e.gap_unpolled_seconds AS unpolled_seconds,
            e.gap_http_status AS http_status,
            e.gap_detail AS detail
        FROM entries e
        WHERE e.kind = 'gap'"""
