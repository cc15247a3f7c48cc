"""Exports at paths of their own, `….csv` and `….ndjson`, where each has one media type."""

from __future__ import annotations

from flask import Flask

from api.endpoint import export_view, operation_of
from recorder.queries.formats import EXPORTS
from recorder.queries.query import ExportQuery


def register_exports(app: Flask) -> None:
    """Serve every route of `app` that can be exported at two more paths."""
    for rule in list(app.url_map.iter_rules()):
        view = app.view_functions[rule.endpoint]
        found = operation_of(view)
        if found is not None and issubclass(found.query, ExportQuery):
            for form in EXPORTS:
                app.add_url_rule(f"{rule.rule}.{form}", f"{rule.endpoint}_{form}", export_view(view, form))
