"""TypeScript types generated from the OpenAPI document."""

from __future__ import annotations

import shutil
import subprocess
from pathlib import Path

import pytest

from tests.support.api_client import Client
from tests.support.databases import ON_SQLITE

pytestmark = [ON_SQLITE, pytest.mark.integration]

SOUND = """
type Body<Path extends keyof paths> = paths[Path] extends
    { get: { responses: { 200: { content: { "application/json": infer Found } } } } } ? Found : never;

export async function read(base: string): Promise<number> {
    const page: Body<"/api/v1/groups"> = await (await fetch(`${base}/api/v1/groups`)).json();
    let runs = 0;
    for (const group of page.items) {
        const phase: "active" | "blocked" | "empty" | "settled" | "unclear" | null = group.phase;
        runs += phase === "active" ? group.progress?.total ?? 0 : 0;
    }
    const next: string | null = page.next;
    return next === null ? runs : NaN;
}

export function longest(found: Body<"/api/v1/groups/{taskgroup_id}/completion">): number {
    return Math.max(...found.episodes.map((episode) => episode.duration_latest_seconds ?? Infinity));
}

export function gaps(found: Body<"/api/v1/groups/{taskgroup_id}/history">): number {
    return found.items.filter((entry) => "kind" in entry && entry.kind === "gap").length;
}
"""
UNSOUND = """
export const text = (found: Body<"/api/v1/groups">) => found.items.trim();
export const known = (found: Body<"/api/v1/groups">) => found.next.length;
export const member = (found: Body<"/api/v1/groups">) => found.total;
"""


def _program(name: str) -> str:
    found = shutil.which(name)
    assert found is not None, (
        "the tests need TypeScript: npm install --global openapi-typescript@7 typescript@5"
    )
    return found


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return tmp_path_factory.mktemp("typescript")


def _complaints(folder: Path, code: str) -> str:
    folder.joinpath("use.ts").write_text(f'import type {{ paths }} from "./api";\n{code}')
    options = ["--noEmit", "--strict", "--skipLibCheck", "--target", "es2022", "--module", "es2022"]
    options += ["--moduleResolution", "bundler"]
    command = [_program("tsc"), *options, str(folder / "use.ts")]
    return subprocess.run(command, check=False, capture_output=True, text=True).stdout


def test_they_fit_what_the_api_returns(client: Client, folder: Path) -> None:
    document = folder / "openapi.json"
    document.write_bytes(client.request("GET", "/openapi.json").get_data())
    command = [_program("openapi-typescript"), str(document), "--output", str(folder / "api.d.ts")]
    subprocess.run(command, check=True, capture_output=True, text=True)
    assert _complaints(folder, SOUND) == ""
    assert _complaints(folder, SOUND + UNSOUND).count("error TS") == len(UNSOUND.split("export")) - 1
