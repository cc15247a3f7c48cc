"""The page on the audit trail: its verifier, its grants and the problems it lists."""

from __future__ import annotations

from recorder.audit.verify.findings import MEANINGS
from recorder.store.grants import Roles, grant_statements
from tests.support.pages import ROOT, blocks, first_codes, page, table

PAGE = "docs/audit.md"


def _block(language: str) -> str:
    (block,) = (block for block in blocks(page(PAGE)) if block.language == language)
    return block.code


def test_the_verifier_matches_the_example_file() -> None:
    assert _block("python") == (ROOT / "docs/examples/verify_export.py").read_text(encoding="utf-8").rstrip()


def test_the_grants_match_the_program() -> None:
    assert _block("sql").splitlines() == [
        f"{line};" for line in ("BEGIN", *grant_statements(Roles(), "public"), "COMMIT")
    ]


def test_every_problem_is_documented() -> None:
    assert set(first_codes(table(PAGE, "`recorder verify`"))) == set(MEANINGS)
