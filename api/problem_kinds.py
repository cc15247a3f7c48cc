"""The kinds of problems.

The `type` of a problem is the address of its entry on the page /docs/problems. These addresses are stable:

- /docs/problems#unknown-group: 404, no group with that id was ever watched
- /docs/problems#archived: 410, the group is archived; `tombstone` is what is left of it
- /docs/problems#unauthorized: 401, tokens are set, and the request has no valid one
- /docs/problems#foreign-host: 403, the request's Host is not a loopback name
- /docs/problems#insufficient-scope: 403, the token is not meant for this
- /docs/problems#enrolment-off: 403, no token of scope enrol is set
- /docs/problems#foreign-origin: 403, a web page of another origin tried to enrol groups
- /docs/problems#not-acceptable: 406, the header Accept excludes every type that the route has
- /docs/problems#not-watched: 409, nothing can be expected of a group that is not watched
- /docs/problems#content-too-large: 413, the body of the request is too large
- /docs/problems#unsupported-media-type: 415, the body of the request is not declared to be JSON
- /docs/problems#bad-parameter: 422, `errors` names every bad parameter
- /docs/problems#bad-body: 422, `errors` names every bad member of the request's body
- /docs/problems#database-unavailable: 503, the database cannot be read, or has another schema
- /docs/problems#never-seen: 503, on the provider's own routes: a watched group has not been seen yet
- /docs/problems#query-timeout: 503, the database needed longer than RECORDER_API_TIMEOUT
- /docs/problems#too-many-exports: 503, the maximum number of simultaneous exports is reached
- /docs/problems#broken-ledger: 503, a watch row does not name the newest entry of its ledger
- /docs/problems#being-derived: 503, after an upgrade, completion is still being derived anew
- /docs/problems#internal-error: 500, `instance` identifies the error in the log
- /docs/problems#not-found, #method-not-allowed, …: named after their HTTP status codes
"""

from __future__ import annotations

from http import HTTPStatus

PROBLEMS = {
    "unknown-group": (HTTPStatus.NOT_FOUND, "Unknown group", "No group with that id was ever watched."),
    "archived": (
        HTTPStatus.GONE,
        "Archived",
        "The group's entries were moved to an archive file; tombstone tells which. "
        "To bring the group back, run: recorder import --restore FILE.",
    ),
    "unauthorized": (
        HTTPStatus.UNAUTHORIZED,
        "Unauthorized",
        "The request has no valid token; send one as Authorization: Bearer, Basic password or x-api-key.",
    ),
    "foreign-host": (
        HTTPStatus.FORBIDDEN,
        "Foreign host",
        "Without access tokens, the server accepts only requests whose Host is a loopback name.",
    ),
    "insufficient-scope": (
        HTTPStatus.FORBIDDEN,
        "Insufficient scope",
        "The token is not meant for this; recorder token makes tokens of other scopes.",
    ),
    "enrolment-off": (
        HTTPStatus.FORBIDDEN,
        "Enrolment is off",
        "Groups can be enrolled over HTTP once RECORDER_API_TOKENS has a token of scope enrol, "
        "which recorder token NAME --enrol makes.",
    ),
    "foreign-origin": (
        HTTPStatus.FORBIDDEN,
        "Foreign origin",
        "Web pages of other origins may not enrol groups, whatever password the browser sends.",
    ),
    "not-found": (HTTPStatus.NOT_FOUND, "Not found", "There is nothing at that path."),
    "method-not-allowed": (
        HTTPStatus.METHOD_NOT_ALLOWED,
        "Method not allowed",
        "The header Allow lists the methods that the path accepts.",
    ),
    "not-acceptable": (
        HTTPStatus.NOT_ACCEPTABLE,
        "Not acceptable",
        "The header Accept excludes every type that the route has.",
    ),
    "not-watched": (
        HTTPStatus.CONFLICT,
        "Not watched",
        "The group is stopped, gone or retired, so nothing can be expected of it; enrol it again first.",
    ),
    "content-too-large": (
        HTTPStatus.REQUEST_ENTITY_TOO_LARGE,
        "Content too large",
        "The body of the request is too large; send fewer items at once.",
    ),
    "unsupported-media-type": (
        HTTPStatus.UNSUPPORTED_MEDIA_TYPE,
        "Unsupported media type",
        "The body of the request must be declared as application/json.",
    ),
    "bad-parameter": (
        HTTPStatus.UNPROCESSABLE_ENTITY,
        "Bad parameter",
        "Parameters are unknown, repeated or malformed; errors lists all of them.",
    ),
    "bad-body": (
        HTTPStatus.UNPROCESSABLE_ENTITY,
        "Bad body",
        "The body of the request is not JSON, or has bad members; errors lists all of them. Nothing is done.",
    ),
    "never-seen": (
        HTTPStatus.SERVICE_UNAVAILABLE,
        "Never seen",
        "The group is watched but has not been seen yet. Try again later.",
    ),
    "broken-ledger": (
        HTTPStatus.SERVICE_UNAVAILABLE,
        "Broken ledger",
        "A watch row does not name the newest entry of its ledger, so there is no checkpoint. "
        "Run: recorder verify.",
    ),
    "being-derived": (
        HTTPStatus.SERVICE_UNAVAILABLE,
        "Being derived",
        "After an upgrade, completion and metadata are being derived anew from the ledger, and the response "
        "would lack some groups. Try again later; /readyz tells how far that has come.",
    ),
    "internal-error": (
        HTTPStatus.INTERNAL_SERVER_ERROR,
        "Internal error",
        "A bug in the server; instance identifies the error in its log.",
    ),
    "too-many-exports": (
        HTTPStatus.SERVICE_UNAVAILABLE,
        "Too many exports",
        "The maximum number of simultaneous exports is reached. Try again later.",
    ),
    "query-timeout": (
        HTTPStatus.SERVICE_UNAVAILABLE,
        "Query timeout",
        "The database needed longer than RECORDER_API_TIMEOUT. Ask for less at once.",
    ),
    "database-unavailable": (
        HTTPStatus.SERVICE_UNAVAILABLE,
        "Database unavailable",
        "The database cannot be read, or has another schema. Try again later.",
    ),
}
"""The HTTP status code, title and meaning of each kind."""
