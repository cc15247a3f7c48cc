"""The OpenAPI document, and documentation pages that load nothing from other servers."""

from __future__ import annotations

from functools import cache
from importlib.util import find_spec
from pathlib import Path

from flask import Blueprint, Flask, Response, render_template

from api.endpoint import require_no_parameters
from api.middleware.files import file_response
from api.middleware.negotiation import require_json
from api.middleware.policy import restrict
from api.openapi.document import openapi_document
from api.problem_kinds import PROBLEMS
from recorder.queries.json_output import dumps

_STATIC = Path(__file__).parents[1] / "static"

blueprint = Blueprint("docs", "api", url_prefix="/docs", template_folder="templates")
blueprint.after_request(restrict)


def register_docs(app: Flask, *, with_tokens: bool) -> None:
    """Serve the OpenAPI document of `app`, built on the first request, and the pages."""

    @cache
    def document() -> bytes:
        return dumps(openapi_document(app, with_tokens=with_tokens))

    @app.get("/openapi.json")
    def openapi() -> Response:
        require_json()
        require_no_parameters()
        return Response(document(), mimetype="application/json")

    app.register_blueprint(blueprint)


@blueprint.get("")
def docs() -> str:
    return render_template("docs.html")


@blueprint.get("/problems")
def problems() -> str:
    return render_template("problems.html", problems=PROBLEMS)


@blueprint.get("/<any('swagger-ui.css'):name>", defaults={"folder": "css"})
@blueprint.get("/<any('swagger-ui-bundle.js'):name>", defaults={"folder": "js"})
def swagger(folder: str, name: str) -> Response:
    return file_response(_swagger_folder() / folder, name)


@blueprint.get("/static/<name>")
def docs_file(name: str) -> Response:
    return file_response(_STATIC, name)


def _swagger_folder() -> Path:
    """Return the folder of Swagger UI's files, without importing the package that has them."""
    spec = find_spec("flask_openapi3_swagger")
    if spec is None or spec.origin is None:
        raise RuntimeError(
            "the package flask-openapi3-swagger, which has Swagger UI's files, is not installed"
        )
    return Path(spec.origin).parent / "templates" / "swagger"
