BEGIN TRANSACTION;
CREATE TABLE alembic_version (
	version_num VARCHAR(32) NOT NULL, 
	CONSTRAINT alembic_version_pkc PRIMARY KEY (version_num)
);
INSERT INTO "alembic_version" VALUES('0001');
CREATE TABLE entries (
	taskgroup_id TEXT NOT NULL, 
	seq BIGINT NOT NULL, 
	kind TEXT NOT NULL, 
	at TEXT NOT NULL, 
	previous_last_asked_at TEXT, 
	previous_last_seen_at TEXT, 
	previous_polls BIGINT, 
	phase TEXT, 
	num_task_runs BIGINT, 
	queued BIGINT, 
	action_required BIGINT, 
	running BIGINT, 
	completed BIGINT, 
	failed BIGINT, 
	cancelling BIGINT, 
	cancelled BIGINT, 
	is_active BOOLEAN, 
	status_message TEXT, 
	modified_at TEXT, 
	metadata TEXT, 
	created_at TEXT, 
	anomalies TEXT, 
	extra TEXT, 
	rules INTEGER, 
	gap_from TEXT, 
	gap_cause TEXT, 
	gap_attempts BIGINT, 
	gap_unpolled_seconds FLOAT, 
	gap_http_status INTEGER, 
	gap_detail TEXT, 
	watch_action TEXT, 
	watch_actor TEXT, 
	watch_note TEXT, 
	digest TEXT NOT NULL, 
	CONSTRAINT pk_entries PRIMARY KEY (taskgroup_id, seq), 
	CONSTRAINT ck_entries_ck_entries_kind CHECK (kind IN ('watch', 'status', 'gap')), 
	CONSTRAINT ck_entries_ck_entries_seq CHECK (seq >= 1)
)
 WITHOUT ROWID

;
INSERT INTO "entries" VALUES('Gruppe ä',1,'watch','2026-11-24T12:05:00.000000Z',NULL,NULL,NULL,NULL,NULL,NULL,NULL,NULL,NULL,NULL,NULL,NULL,NULL,NULL,NULL,NULL,NULL,NULL,NULL,NULL,NULL,NULL,NULL,NULL,NULL,NULL,'started','ada@host','March batch','8518b9f36a0c8ee43b8cb002a05f566bd0293b08dc9587a53c31e8d00e4ab6f9');
INSERT INTO "entries" VALUES('Gruppe ä',2,'status','2026-11-24T12:05:01.000000Z',NULL,NULL,NULL,'settled',5,NULL,NULL,NULL,5,NULL,NULL,NULL,0,NULL,NULL,'{"customer":"acme"}','2026-11-24T11:59:00.000000Z','[]',NULL,1,NULL,NULL,NULL,NULL,NULL,NULL,NULL,NULL,NULL,'d16c78dadc934189776d4c6cefedd9ca7109451c6075cfc40c4cf747ecd31fcd');
INSERT INTO "entries" VALUES('tgrp_1',1,'watch','2026-11-24T12:00:00.000000Z',NULL,NULL,NULL,NULL,NULL,NULL,NULL,NULL,NULL,NULL,NULL,NULL,NULL,NULL,NULL,NULL,NULL,NULL,NULL,NULL,NULL,NULL,NULL,NULL,NULL,NULL,'started','ada@host','March batch','2b238908d56e04d5c84575f4907d97badf0cb58d843d453eb43cce485e99109e');
INSERT INTO "entries" VALUES('tgrp_1',2,'status','2026-11-24T12:00:01.000000Z',NULL,NULL,NULL,'active',5,NULL,NULL,4,1,NULL,NULL,NULL,1,NULL,NULL,'{"customer":"acme"}','2026-11-24T11:59:00.000000Z','[]',NULL,1,NULL,NULL,NULL,NULL,NULL,NULL,NULL,NULL,NULL,'4d3bdc833901e69b5bbdfa7df5ebc1897b928ad7896611838f41caa2fd61b11f');
INSERT INTO "entries" VALUES('tgrp_1',3,'status','2026-11-24T12:00:27.000000Z','2026-11-24T12:00:11.000000Z','2026-11-24T12:00:11.500000Z',2,'active',5,NULL,NULL,3,2,NULL,NULL,NULL,1,NULL,NULL,'{"note":"a�b 😀"}','2026-11-24T11:59:00.000000Z','["unknown_field"]','{"body":{"set":{"metadata":{"note":"a\u0000b \ud83d\ude00"},"extra":null}}}',1,NULL,NULL,NULL,NULL,NULL,NULL,NULL,NULL,NULL,'3dc9fef9139751d10e3604c94e2d2fc9c568b76cbaf8fa652c18a691ea2191d2');
INSERT INTO "entries" VALUES('tgrp_1',4,'gap','2026-11-24T12:02:00.000000Z','2026-11-24T12:00:26.500000Z','2026-11-24T12:00:27.000000Z',1,NULL,NULL,NULL,NULL,NULL,NULL,NULL,NULL,NULL,NULL,NULL,NULL,NULL,NULL,NULL,NULL,NULL,'2026-11-24T12:00:27.000000Z','server_error',6,34.25,503,'Service Unavailable',NULL,NULL,NULL,'5516c280b985713407fa1e94813cbcf89a8950b1c30318a13e34e8267e6a4f15');
INSERT INTO "entries" VALUES('tgrp_1',5,'status','2026-11-24T12:02:00.000000Z',NULL,NULL,NULL,'active',5,NULL,NULL,3,2,NULL,NULL,NULL,1,NULL,NULL,'{"note":"a�b 😀"}','2026-11-24T11:59:00.000000Z','["unknown_field"]','{"body":{"set":{"metadata":{"note":"a\u0000b \ud83d\ude00"},"extra":null}}}',1,NULL,NULL,NULL,NULL,NULL,NULL,NULL,NULL,NULL,'9ec25d92b6ee0e8b5966bb7aa1f52bbb1e844b0773acce82c21ef84c1cd3894a');
INSERT INTO "entries" VALUES('tgrp_1',6,'watch','2026-11-24T12:02:10.000000Z','2026-11-24T12:01:59.500000Z','2026-11-24T12:02:00.000000Z',1,NULL,NULL,NULL,NULL,NULL,NULL,NULL,NULL,NULL,NULL,NULL,NULL,NULL,NULL,NULL,NULL,NULL,NULL,NULL,NULL,NULL,NULL,NULL,'paused','bob@host','lunch','0f7e0955469c12ce0559d1952a25d4a1f74a973387664a022e9a67f4853e1fad');
INSERT INTO "entries" VALUES('tgrp_1',7,'watch','2026-11-24T12:03:20.000000Z',NULL,NULL,NULL,NULL,NULL,NULL,NULL,NULL,NULL,NULL,NULL,NULL,NULL,NULL,NULL,NULL,NULL,NULL,NULL,NULL,NULL,NULL,NULL,NULL,NULL,NULL,'resumed','bob@host',NULL,'5ce291ec3383e281f6604b8728b65690cbdc885a2093eb35ae3f0bc55afe787b');
INSERT INTO "entries" VALUES('tgrp_1',8,'status','2026-11-24T12:03:21.000000Z',NULL,NULL,NULL,'settled',5,NULL,NULL,NULL,5,NULL,NULL,NULL,0,NULL,'2026-11-24T11:03:20.123456Z',NULL,'2026-11-24T11:59:00.000000Z','["unknown_status", "unknown_field", "inexact_number"]','{"text": "{\"taskgroup_id\":\"tgrp_1\",\"metadata\":null,\"created_at\":\"2026-11-24T11:59:00Z\",\"status\":{\"num_task_runs\":5,\"task_run_status_counts\":{\"completed\":5,\"dreaming\":0},\"is_active\":false,\"status_message\":null,\"modified_at\":\"2026-11-24T12:03:20.123456789+01:00\",\"share\":0.1000000000000000055}}"}',1,NULL,NULL,NULL,NULL,NULL,NULL,NULL,NULL,NULL,'b48a11fb409337c25a4cd73eb22ce2c94378e92f5bd9e4e0d3b2af173b167905');
INSERT INTO "entries" VALUES('tgrp_never',1,'watch','2026-11-24T12:06:40.000000Z',NULL,NULL,NULL,NULL,NULL,NULL,NULL,NULL,NULL,NULL,NULL,NULL,NULL,NULL,NULL,NULL,NULL,NULL,NULL,NULL,NULL,NULL,NULL,NULL,NULL,NULL,'started','ada@host','March batch','667dc6223682e95396c4c34ee4cc5d2bf5ba5e6987cab5f8373deb003958e1bc');
CREATE TABLE recorders (
	recorder_id TEXT NOT NULL, 
	host TEXT NOT NULL, 
	pid INTEGER NOT NULL, 
	started_at TEXT NOT NULL, 
	heartbeat_at TEXT NOT NULL, 
	counters TEXT NOT NULL, 
	CONSTRAINT pk_recorders PRIMARY KEY (recorder_id)
)
 WITHOUT ROWID

;
CREATE TABLE watches (
	taskgroup_id TEXT NOT NULL, 
	state TEXT NOT NULL, 
	enrolled_at TEXT NOT NULL, 
	head_seq BIGINT NOT NULL, 
	head_kind TEXT NOT NULL, 
	head_at TEXT NOT NULL, 
	head_digest TEXT NOT NULL, 
	due_at TEXT, 
	gap_at TEXT, 
	poll_due_at TEXT, 
	interval_seconds FLOAT, 
	next_poll_at TEXT, 
	owner TEXT, 
	lease_until TEXT, 
	last_asked_at TEXT, 
	last_seen_at TEXT, 
	polls BIGINT, 
	status_seq BIGINT, 
	fingerprint TEXT, 
	phase TEXT, 
	finished BIGINT, 
	modified_at TEXT, 
	quiet_since TEXT, 
	failures TEXT, 
	CONSTRAINT pk_watches PRIMARY KEY (taskgroup_id)
)
 WITHOUT ROWID

;
INSERT INTO "watches" VALUES('Gruppe ä','watching','2026-11-24T12:05:00.000000Z',2,'status','2026-11-24T12:05:01.000000Z','d16c78dadc934189776d4c6cefedd9ca7109451c6075cfc40c4cf747ecd31fcd','2026-11-24T12:05:27.000000Z','2026-11-24T12:05:57.000000Z','2026-11-24T12:05:33.750000Z',15.0,'2026-11-24T12:05:33.750000Z',NULL,NULL,'2026-11-24T12:05:11.500000Z','2026-11-24T12:05:12.000000Z',2,2,'b51a4f854442f43eb9d92c3952760d159ffc57d014db1a7fd5374e2838395ecc','settled',5,NULL,'2026-11-24T12:05:01.000000Z','{"attempts": 1, "unpolled_seconds": 2.5, "tallies": [{"cause": "not_found", "count": 1, "http_status": 404, "detail": "Service Unavailable"}], "missing_polls": 1, "missing_since": "2026-11-24T12:05:30.000000Z"}');
INSERT INTO "watches" VALUES('tgrp_1','watching','2026-11-24T12:00:00.000000Z',8,'status','2026-11-24T12:03:21.000000Z','b48a11fb409337c25a4cd73eb22ce2c94378e92f5bd9e4e0d3b2af173b167905','2026-11-24T12:03:31.000000Z','2026-11-24T12:04:01.000000Z','2026-11-24T12:03:31.000000Z',10.0,'2026-11-24T12:05:30.500000Z','recorder-one','2026-11-24T12:05:30.500000Z','2026-11-24T12:03:20.500000Z','2026-11-24T12:03:21.000000Z',1,8,'c1a50cd1956385603bb048439fdc295add417e63b6e728a75ec91c54246f3808','settled',5,'2026-11-24T11:03:20.123456Z','2026-11-24T12:03:21.000000Z',NULL);
INSERT INTO "watches" VALUES('tgrp_never','watching','2026-11-24T12:06:40.000000Z',1,'watch','2026-11-24T12:06:40.000000Z','667dc6223682e95396c4c34ee4cc5d2bf5ba5e6987cab5f8373deb003958e1bc','2026-11-24T12:06:40.000000Z','2026-11-24T12:07:10.000000Z','2026-11-24T12:06:40.000000Z',NULL,'2026-11-24T12:06:40.000000Z',NULL,NULL,NULL,NULL,NULL,NULL,NULL,NULL,NULL,NULL,NULL,NULL);
CREATE INDEX ix_watches_next_poll_at ON watches (next_poll_at);
CREATE INDEX ix_watches_enrolled_at_taskgroup_id ON watches (enrolled_at, taskgroup_id);
CREATE TRIGGER entries_refuse_update BEFORE UPDATE ON entries
    BEGIN SELECT RAISE(ABORT, 'the ledger is append-only: no UPDATE of entries'); END;
CREATE TRIGGER entries_refuse_delete BEFORE DELETE ON entries
    BEGIN SELECT RAISE(ABORT, 'the ledger is append-only: no DELETE from entries'); END;
CREATE TRIGGER entries_refuse_replace BEFORE INSERT ON entries
    WHEN EXISTS (SELECT 1 FROM entries WHERE taskgroup_id = NEW.taskgroup_id AND seq = NEW.seq)
    BEGIN SELECT RAISE(ABORT, 'the ledger is append-only: this entry stands already'); END;
CREATE VIEW status_history AS SELECT 
        e.taskgroup_id, e.seq, e.at AS observed_at,
        coalesce(n.previous_last_seen_at, w.last_seen_at) AS last_seen_at,
        coalesce(n.previous_polls, w.polls) AS polls,
        e.phase, e.num_task_runs, e.queued, e.action_required, e.running, e.completed, e.failed,
        e.cancelling, e.cancelled, e.is_active, e.status_message, e.modified_at,
        e.metadata AS metadata, e.created_at, e.anomalies AS anomalies, e.digest
        FROM entries e
        LEFT JOIN entries n ON n.taskgroup_id = e.taskgroup_id AND n.seq = e.seq + 1
        LEFT JOIN watches w ON w.taskgroup_id = e.taskgroup_id AND w.head_seq = e.seq
        WHERE e.kind = 'status';
CREATE VIEW latest_status AS SELECT 
        w.taskgroup_id, e.seq, e.at AS observed_at,
        coalesce(n.previous_last_seen_at, w.last_seen_at) AS last_seen_at,
        coalesce(n.previous_polls, w.polls) AS polls,
        e.phase, e.num_task_runs, e.queued, e.action_required, e.running, e.completed, e.failed,
        e.cancelling, e.cancelled, e.is_active, e.status_message, e.modified_at,
        e.metadata AS metadata, e.created_at, e.anomalies AS anomalies, e.digest,
        w.state, w.due_at
        FROM watches w
        LEFT JOIN entries e ON e.taskgroup_id = w.taskgroup_id AND e.seq = w.status_seq
        LEFT JOIN entries n ON n.taskgroup_id = w.taskgroup_id AND n.seq = w.status_seq + 1;
CREATE VIEW observation_gaps AS SELECT
        e.taskgroup_id, e.seq, e.gap_from, e.at AS gap_to,
        ((strftime('%s', substr(e.at, 1, 19)) - strftime('%s', substr(e.gap_from, 1, 19))) * 1000000 + substr(e.at, 21, 6) - substr(e.gap_from, 21, 6)) / 1000000.0 AS duration_seconds,
        e.gap_cause AS cause, e.gap_attempts AS attempts, e.gap_unpolled_seconds AS unpolled_seconds,
        e.gap_http_status AS http_status, e.gap_detail AS detail
        FROM entries e WHERE e.kind = 'gap';
COMMIT;
