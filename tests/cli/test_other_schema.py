"""A recorder whose database is upgraded by a newer program says so, and ends."""

from __future__ import annotations

from sqlalchemy import Engine, text

from recorder.store.transactions import writing
from tests.support.program import QUICK, Program
from tests.support.scripted_upstream import Upstream
from tests.support.tampering import findings


def test_a_recorder_ends_when_the_schema_is_a_newer_one(
    program: Program, engine: Engine, upstream: Upstream
) -> None:
    program = program.using(**QUICK, **upstream.settings)
    group = upstream.create()
    program.ok("watch", group)
    with program.start("run") as recorder:
        recorder.wait_until(lambda: upstream.answered(group) or None, "the group to be polled")
        with writing(engine) as connection:
            connection.execute(text("UPDATE alembic_version SET version_num = '9999'"))
        assert recorder.wait() == 1
        assert "the database's schema is now at revision 9999" in recorder.printed
    with writing(engine) as connection:
        # Nobody is left whose claims another recorder would have to wait for.
        assert connection.scalar(text("SELECT count(*) FROM recorders")) == 0
        assert connection.scalar(text("SELECT count(*) FROM entries WHERE kind = 'gap'")) == 0
    assert findings(engine) == []
