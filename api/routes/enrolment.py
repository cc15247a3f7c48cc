"""Enrol groups over HTTP, and say what is expected of them: the only routes that write.

Their database is known to nothing but the views that `register_enrolment` makes.
"""

from __future__ import annotations

from collections.abc import Collection, Mapping, Sequence
from datetime import datetime
from hashlib import sha256
from typing import Any
from urllib.parse import urlsplit

import structlog
from flask import Blueprint, Flask, Response, request

from api.bodies import BadBodyError, checked, json_object, location_of
from api.context import context
from api.endpoint import body_operation
from api.enrolling import EnrolmentDatabase
from api.errors import problem
from api.middleware.auth import sent_token
from api.responses import json_response
from api.schemas.archived import ArchivedProblem
from api.schemas.common import Group, Problem
from api.schemas.enrolment import (
    EnrolmentAnswer,
    EnrolmentBody,
    EnrolmentItem,
    EnrolmentItems,
    ExpectationBody,
)
from recorder.ledger.entries import Action, ExpectationChanges
from recorder.ledger.group_id import check_taskgroup_id
from recorder.queries.eta import etas_of
from recorder.queries.groups import group_body
from recorder.queries.paging import GROUPS_PATH
from recorder.store.batches import Deadline
from recorder.store.enrolment import enrol_groups
from recorder.store.groups import find_groups
from recorder.store.request_keys import MOST_KEY_CHARACTERS
from recorder.store.requested import (
    ExpectationRequest,
    ReusedKeyError,
    TooManyRunsError,
    request_expectation,
)
from recorder.store.tombstones import ArchivedGroupError, find_tombstones
from recorder.store.transactions import reading
from recorder.store.watch_changes import (
    BrokenLedgerError,
    Enrolment,
    NotWatchedError,
    UnknownGroupError,
    WatchOutcomes,
)
from recorder.tokens import Scope, Token

TAG = "groups"
KEY_HEADER = "Idempotency-Key"
_REFUSED = dict.fromkeys((403, 413, 415, 503), Problem)
_SAME_SITE = {"same-origin", "none"}
_ENROLLED = (Action.STARTED, Action.RESUMED)
_log = structlog.get_logger("recorder.api")


class EnrolmentRefusedError(Exception):
    """The request may not enrol groups: the kind of problem, and what to do about it."""

    def __init__(self, kind: str, detail: str) -> None:
        self.kind = kind
        super().__init__(detail)


def register_enrolment(app: Flask, database: EnrolmentDatabase | None) -> None:
    """Add the routes that enrol groups in `database`; without one, they say how to turn enrolment on."""
    blueprint = Blueprint("enrolment", __name__, url_prefix=GROUPS_PATH)

    def permit() -> _Enroller:
        return _permitted(database)

    @blueprint.post("")
    @body_operation(
        "enrolGroups",
        tag=TAG,
        permit=permit,
        body=EnrolmentBody,
        answer=EnrolmentAnswer,
        statuses=(200, 201),
        problems={**_REFUSED, 409: Problem, 410: ArchivedProblem},
    )
    def enrol(enroller: _Enroller) -> Response:
        """Enrol groups, and resume those that are not being watched."""
        return enroller.enrol()

    @blueprint.post("/<taskgroup_id>/expectation")
    @body_operation(
        "expectOfGroup",
        tag=TAG,
        permit=permit,
        body=ExpectationBody,
        answer=Group,
        statuses=(200,),
        problems={**_REFUSED, 404: Problem, 409: Problem, 410: ArchivedProblem},
        headers=(KEY_HEADER,),
    )
    def expectation(enroller: _Enroller, taskgroup_id: str) -> Response:
        """Set what is expected of a group, or add to it."""
        return enroller.expect(taskgroup_id)

    app.register_blueprint(blueprint)
    app.register_error_handler(EnrolmentRefusedError, lambda refusal: problem(refusal.kind, str(refusal)))


def _permitted(database: EnrolmentDatabase | None) -> _Enroller:
    """Return what carries out the current request.

    Raises:
        EnrolmentRefusedError: it may not enrol.
    """
    token = sent_token()
    if database is None:
        raise EnrolmentRefusedError(
            "enrolment-off",
            "no token is for enrolling; make one with: recorder token NAME --enrol, add its second line to "
            "RECORDER_API_TOKENS, and restart the API",
        )
    if token is None or token.scope is not Scope.ENROL:
        raise EnrolmentRefusedError(
            "insufficient-scope", "the token is not for enrolling; make one with: recorder token NAME --enrol"
        )
    if not _from_same_site():
        raise EnrolmentRefusedError("foreign-origin", "web pages of other origins may not enrol groups")
    return _Enroller(database, token)


def _from_same_site() -> bool:
    """Whether the current request is not made by a web page of another origin.

    A browser would send the password that it has kept. It asks before it lets such a page send JSON, and is
    refused; this does not depend on that.
    """
    site = request.headers.get("Sec-Fetch-Site")
    if site is not None:
        return site in _SAME_SITE
    origin = request.headers.get("Origin")
    return origin is None or urlsplit(origin).netloc == request.host


class _Enroller:
    """Carries out requests of the holder of a token, who is the actor of the entries."""

    def __init__(self, database: EnrolmentDatabase, token: Token) -> None:
        self._database = database
        self._actor = token.name

    def enrol(self) -> Response:
        value = json_object()
        several = "items" in value
        items = checked(EnrolmentItems, value).items if several else [checked(EnrolmentItem, value)]
        places = {item.taskgroup_id: f"items/{place}/" if several else "" for place, item in enumerate(items)}
        wanted = _wanted(items)
        now = self._database.clock()
        self._refuse_archived(places)
        batches = enrol_groups(
            self._database.engine,
            wanted,
            actor=self._actor,
            now=now,
            rules=self._database.rules,
            deadline=Deadline(),
        )
        outcomes: WatchOutcomes = {}
        for batch in batches:
            outcomes |= batch
        enrolled = [one for one, outcome in outcomes.items() if outcome in _ENROLLED]
        self._log(enrolled)
        if failed := {one: error for one, error in outcomes.items() if isinstance(error, Exception)}:
            return _not_enrolled(failed, places)
        bodies = self._bodies(wanted, now())
        answer = [bodies[item.taskgroup_id] for item in items]
        return json_response({"items": answer} if several else answer[0], status=201 if enrolled else 200)

    def _refuse_archived(self, places: Mapping[str, str]) -> None:
        """Refuse the request if it names archived groups, which have to be restored first.

        Raises:
            ArchivedGroupError: the only group is archived.
            BadBodyError: some of several are.
        """
        with reading(self._database.engine) as connection:
            archived = find_tombstones(connection, places)
        errors = {one: ArchivedGroupError(tombstone) for one, tombstone in archived.items()}
        for one, error in errors.items():
            if not places[one]:
                raise error
        if errors:
            raise BadBodyError([(f"{places[one]}taskgroup_id", str(error)) for one, error in errors.items()])

    def expect(self, taskgroup_id: str) -> Response:
        body = checked(ExpectationBody, json_object())
        request_ = _expectation_request(body)
        try:
            check_taskgroup_id(taskgroup_id)
        except ValueError as error:
            raise UnknownGroupError(f"{taskgroup_id!r} {error}") from None
        now = self._database.clock()
        try:
            request_expectation(
                self._database.engine,
                taskgroup_id,
                request_,
                actor=self._actor,
                now=now,
                deadline=Deadline(),
            )
        except UnknownGroupError:
            raise UnknownGroupError(f"no group {taskgroup_id!r} was ever watched") from None
        except ReusedKeyError:
            raise BadBodyError([(KEY_HEADER, "belongs to another request about this group")]) from None
        except TooManyRunsError as error:
            raise BadBodyError([("add_runs", str(error))]) from None
        except NotWatchedError as error:
            return problem("not-watched", f"{taskgroup_id!r} is {error}; enrol it again first")
        except BrokenLedgerError as error:
            return _not_enrolled({taskgroup_id: error}, {taskgroup_id: ""})
        return json_response(self._bodies([taskgroup_id], now())[taskgroup_id])

    def _bodies(self, taskgroup_ids: Collection[str], now: datetime) -> dict[str, Any]:
        with reading(self._database.engine) as connection:
            groups = find_groups(connection, taskgroup_ids)
            etas = etas_of(connection, list(groups.values()), context().cohort_key)
        return {one: group_body(group, etas[one], now) for one, group in groups.items()}

    def _log(self, enrolled: Sequence[str]) -> None:
        if len(enrolled) == 1:
            _log.info("enrolled", taskgroup_id=enrolled[0], by=self._actor)
        elif enrolled:
            _log.info("enrolled", groups=len(enrolled), by=self._actor)


def _wanted(items: Sequence[EnrolmentItem]) -> dict[str, Enrolment]:
    """Return what is wanted of each group; one that is given twice must be given alike.

    Raises:
        BadBodyError: one is not.
    """
    first: dict[str, tuple[int, EnrolmentItem]] = {}
    errors = []
    for place, item in enumerate(items):
        before, given = first.setdefault(item.taskgroup_id, (place, item))
        if given != item:
            location = location_of(("items", place, "taskgroup_id"))
            errors.append((location, f"is that of {location_of(('items', before))}, which says otherwise"))
    if errors:
        raise BadBodyError(errors)
    return {one: Enrolment(item.note, _expected(item)) for one, (_, item) in first.items()}


def _expected(item: EnrolmentItem) -> ExpectationChanges:
    changes: ExpectationChanges = {}
    if item.expected_runs is not None:
        changes["runs"] = item.expected_runs
    if item.expected_by is not None:
        changes["by"] = item.expected_by
    return changes


def _expectation_request(body: ExpectationBody) -> ExpectationRequest:
    """Return what the current request asks for.

    Raises:
        BadBodyError: its key is not one.
    """
    changes: ExpectationChanges = {}
    if "runs" in body.model_fields_set:
        changes["runs"] = body.runs
    if "by" in body.model_fields_set:
        changes["by"] = body.by
    key = request.headers.get(KEY_HEADER)
    if key is not None and not (1 <= len(key) <= MOST_KEY_CHARACTERS and key.isprintable()):
        words = f"is not 1 to {MOST_KEY_CHARACTERS} printable characters"
        raise BadBodyError([(KEY_HEADER, words)])
    content = body.model_dump_json(exclude_unset=True)
    return ExpectationRequest(changes, body.add_runs or 0, key, sha256(content.encode()).hexdigest())


def _not_enrolled(failed: Mapping[str, Exception], places: Mapping[str, str]) -> Response:
    """Answer for groups that could not be changed; the others were."""
    errors = [
        {"location": f"{places[one]}taskgroup_id", "message": str(error)} for one, error in failed.items()
    ]
    first, error = next(iter(failed.items()))
    broken = any(isinstance(error, BrokenLedgerError) for error in failed.values())
    kind = "broken-ledger" if broken else "not-watched"
    return problem(kind, f"{first!r}: {error}; what else was asked for is done", errors=errors)
