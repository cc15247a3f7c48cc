SET statement_timeout = 0;
SET lock_timeout = 0;
SET idle_in_transaction_session_timeout = 0;
SET transaction_timeout = 0;
SET client_encoding = 'UTF8';
SET standard_conforming_strings = on;
SELECT pg_catalog.set_config('search_path', '', false);
SET check_function_bodies = false;
SET xmloption = content;
SET client_min_messages = warning;
SET row_security = off;
CREATE FUNCTION public.entries_refuse_change() RETURNS trigger
    LANGUAGE plpgsql
    AS $$
    BEGIN
        RAISE EXCEPTION 'the ledger is append-only: no % of entries', TG_OP
            USING ERRCODE = 'restrict_violation';
    END $$;
SET default_tablespace = '';
SET default_table_access_method = heap;
CREATE TABLE public.alembic_version (
    version_num character varying(32) NOT NULL
);
CREATE TABLE public.entries (
    taskgroup_id text NOT NULL COLLATE pg_catalog."C",
    seq bigint NOT NULL,
    kind text NOT NULL,
    at timestamp with time zone NOT NULL,
    previous_last_asked_at timestamp with time zone,
    previous_last_seen_at timestamp with time zone,
    previous_polls bigint,
    phase text,
    num_task_runs bigint,
    queued bigint,
    action_required bigint,
    running bigint,
    completed bigint,
    failed bigint,
    cancelling bigint,
    cancelled bigint,
    is_active boolean,
    status_message text,
    modified_at timestamp with time zone,
    metadata text,
    created_at timestamp with time zone,
    anomalies text,
    extra text,
    rules integer,
    gap_from timestamp with time zone,
    gap_cause text,
    gap_attempts bigint,
    gap_unpolled_seconds double precision,
    gap_http_status integer,
    gap_detail text,
    watch_action text,
    watch_actor text,
    watch_note text,
    digest text NOT NULL,
    CONSTRAINT ck_entries_ck_entries_kind CHECK ((kind = ANY (ARRAY['watch'::text, 'status'::text, 'gap'::text]))),
    CONSTRAINT ck_entries_ck_entries_seq CHECK ((seq >= 1))
);
CREATE TABLE public.watches (
    taskgroup_id text NOT NULL COLLATE pg_catalog."C",
    state text NOT NULL,
    enrolled_at timestamp with time zone NOT NULL,
    head_seq bigint NOT NULL,
    head_kind text NOT NULL,
    head_at timestamp with time zone NOT NULL,
    head_digest text NOT NULL,
    due_at timestamp with time zone,
    gap_at timestamp with time zone,
    poll_due_at timestamp with time zone,
    interval_seconds double precision,
    next_poll_at timestamp with time zone,
    owner text,
    lease_until timestamp with time zone,
    last_asked_at timestamp with time zone,
    last_seen_at timestamp with time zone,
    polls bigint,
    status_seq bigint,
    fingerprint text,
    phase text,
    finished bigint,
    modified_at timestamp with time zone,
    quiet_since timestamp with time zone,
    failures text
);
CREATE VIEW public.latest_status AS
 SELECT w.taskgroup_id,
    e.seq,
    e.at AS observed_at,
    COALESCE(n.previous_last_seen_at, w.last_seen_at) AS last_seen_at,
    COALESCE(n.previous_polls, w.polls) AS polls,
    e.phase,
    e.num_task_runs,
    e.queued,
    e.action_required,
    e.running,
    e.completed,
    e.failed,
    e.cancelling,
    e.cancelled,
    e.is_active,
    e.status_message,
    e.modified_at,
    (e.metadata)::json AS metadata,
    e.created_at,
    (e.anomalies)::json AS anomalies,
    e.digest,
    w.state,
    w.due_at
   FROM ((public.watches w
     LEFT JOIN public.entries e ON (((e.taskgroup_id = w.taskgroup_id) AND (e.seq = w.status_seq))))
     LEFT JOIN public.entries n ON (((n.taskgroup_id = w.taskgroup_id) AND (n.seq = (w.status_seq + 1)))));
CREATE VIEW public.observation_gaps AS
 SELECT taskgroup_id,
    seq,
    gap_from,
    at AS gap_to,
    (EXTRACT(epoch FROM (at - gap_from)))::double precision AS duration_seconds,
    gap_cause AS cause,
    gap_attempts AS attempts,
    gap_unpolled_seconds AS unpolled_seconds,
    gap_http_status AS http_status,
    gap_detail AS detail
   FROM public.entries e
  WHERE (kind = 'gap'::text);
CREATE TABLE public.recorders (
    recorder_id text NOT NULL,
    host text NOT NULL,
    pid integer NOT NULL,
    started_at timestamp with time zone NOT NULL,
    heartbeat_at timestamp with time zone NOT NULL,
    counters text NOT NULL
);
CREATE VIEW public.status_history AS
 SELECT e.taskgroup_id,
    e.seq,
    e.at AS observed_at,
    COALESCE(n.previous_last_seen_at, w.last_seen_at) AS last_seen_at,
    COALESCE(n.previous_polls, w.polls) AS polls,
    e.phase,
    e.num_task_runs,
    e.queued,
    e.action_required,
    e.running,
    e.completed,
    e.failed,
    e.cancelling,
    e.cancelled,
    e.is_active,
    e.status_message,
    e.modified_at,
    (e.metadata)::json AS metadata,
    e.created_at,
    (e.anomalies)::json AS anomalies,
    e.digest
   FROM ((public.entries e
     LEFT JOIN public.entries n ON (((n.taskgroup_id = e.taskgroup_id) AND (n.seq = (e.seq + 1)))))
     LEFT JOIN public.watches w ON (((w.taskgroup_id = e.taskgroup_id) AND (w.head_seq = e.seq))))
  WHERE (e.kind = 'status'::text);
INSERT INTO public.alembic_version VALUES ('0001');
INSERT INTO public.entries VALUES ('tgrp_1', 1, 'watch', '2026-11-24 12:00:00+00', NULL, NULL, NULL, NULL, NULL, NULL, NULL, NULL, NULL, NULL, NULL, NULL, NULL, NULL, NULL, NULL, NULL, NULL, NULL, NULL, NULL, NULL, NULL, NULL, NULL, NULL, 'started', 'ada@host', 'March batch', '2b238908d56e04d5c84575f4907d97badf0cb58d843d453eb43cce485e99109e');
INSERT INTO public.entries VALUES ('tgrp_1', 2, 'status', '2026-11-24 12:00:01+00', NULL, NULL, NULL, 'active', 5, NULL, NULL, 4, 1, NULL, NULL, NULL, true, NULL, NULL, '{"customer":"acme"}', '2026-11-24 11:59:00+00', '[]', NULL, 1, NULL, NULL, NULL, NULL, NULL, NULL, NULL, NULL, NULL, '4d3bdc833901e69b5bbdfa7df5ebc1897b928ad7896611838f41caa2fd61b11f');
INSERT INTO public.entries VALUES ('tgrp_1', 3, 'status', '2026-11-24 12:00:27+00', '2026-11-24 12:00:11+00', '2026-11-24 12:00:11.5+00', 2, 'active', 5, NULL, NULL, 3, 2, NULL, NULL, NULL, true, NULL, NULL, '{"note":"a�b 😀"}', '2026-11-24 11:59:00+00', '["unknown_field"]', '{"body":{"set":{"metadata":{"note":"a\u0000b \ud83d\ude00"},"extra":null}}}', 1, NULL, NULL, NULL, NULL, NULL, NULL, NULL, NULL, NULL, '3dc9fef9139751d10e3604c94e2d2fc9c568b76cbaf8fa652c18a691ea2191d2');
INSERT INTO public.entries VALUES ('tgrp_1', 4, 'gap', '2026-11-24 12:02:00+00', '2026-11-24 12:00:26.5+00', '2026-11-24 12:00:27+00', 1, NULL, NULL, NULL, NULL, NULL, NULL, NULL, NULL, NULL, NULL, NULL, NULL, NULL, NULL, NULL, NULL, NULL, '2026-11-24 12:00:27+00', 'server_error', 6, 34.25, 503, 'Service Unavailable', NULL, NULL, NULL, '5516c280b985713407fa1e94813cbcf89a8950b1c30318a13e34e8267e6a4f15');
INSERT INTO public.entries VALUES ('tgrp_1', 5, 'status', '2026-11-24 12:02:00+00', NULL, NULL, NULL, 'active', 5, NULL, NULL, 3, 2, NULL, NULL, NULL, true, NULL, NULL, '{"note":"a�b 😀"}', '2026-11-24 11:59:00+00', '["unknown_field"]', '{"body":{"set":{"metadata":{"note":"a\u0000b \ud83d\ude00"},"extra":null}}}', 1, NULL, NULL, NULL, NULL, NULL, NULL, NULL, NULL, NULL, '9ec25d92b6ee0e8b5966bb7aa1f52bbb1e844b0773acce82c21ef84c1cd3894a');
INSERT INTO public.entries VALUES ('tgrp_1', 6, 'watch', '2026-11-24 12:02:10+00', '2026-11-24 12:01:59.5+00', '2026-11-24 12:02:00+00', 1, NULL, NULL, NULL, NULL, NULL, NULL, NULL, NULL, NULL, NULL, NULL, NULL, NULL, NULL, NULL, NULL, NULL, NULL, NULL, NULL, NULL, NULL, NULL, 'paused', 'bob@host', 'lunch', '0f7e0955469c12ce0559d1952a25d4a1f74a973387664a022e9a67f4853e1fad');
INSERT INTO public.entries VALUES ('tgrp_1', 7, 'watch', '2026-11-24 12:03:20+00', NULL, NULL, NULL, NULL, NULL, NULL, NULL, NULL, NULL, NULL, NULL, NULL, NULL, NULL, NULL, NULL, NULL, NULL, NULL, NULL, NULL, NULL, NULL, NULL, NULL, NULL, 'resumed', 'bob@host', NULL, '5ce291ec3383e281f6604b8728b65690cbdc885a2093eb35ae3f0bc55afe787b');
INSERT INTO public.entries VALUES ('tgrp_1', 8, 'status', '2026-11-24 12:03:21+00', NULL, NULL, NULL, 'settled', 5, NULL, NULL, NULL, 5, NULL, NULL, NULL, false, NULL, '2026-11-24 11:03:20.123456+00', NULL, '2026-11-24 11:59:00+00', '["unknown_status", "unknown_field", "inexact_number"]', '{"text": "{\"taskgroup_id\":\"tgrp_1\",\"metadata\":null,\"created_at\":\"2026-11-24T11:59:00Z\",\"status\":{\"num_task_runs\":5,\"task_run_status_counts\":{\"completed\":5,\"dreaming\":0},\"is_active\":false,\"status_message\":null,\"modified_at\":\"2026-11-24T12:03:20.123456789+01:00\",\"share\":0.1000000000000000055}}"}', 1, NULL, NULL, NULL, NULL, NULL, NULL, NULL, NULL, NULL, 'b48a11fb409337c25a4cd73eb22ce2c94378e92f5bd9e4e0d3b2af173b167905');
INSERT INTO public.entries VALUES ('Gruppe ä', 1, 'watch', '2026-11-24 12:05:00+00', NULL, NULL, NULL, NULL, NULL, NULL, NULL, NULL, NULL, NULL, NULL, NULL, NULL, NULL, NULL, NULL, NULL, NULL, NULL, NULL, NULL, NULL, NULL, NULL, NULL, NULL, 'started', 'ada@host', 'March batch', '8518b9f36a0c8ee43b8cb002a05f566bd0293b08dc9587a53c31e8d00e4ab6f9');
INSERT INTO public.entries VALUES ('Gruppe ä', 2, 'status', '2026-11-24 12:05:01+00', NULL, NULL, NULL, 'settled', 5, NULL, NULL, NULL, 5, NULL, NULL, NULL, false, NULL, NULL, '{"customer":"acme"}', '2026-11-24 11:59:00+00', '[]', NULL, 1, NULL, NULL, NULL, NULL, NULL, NULL, NULL, NULL, NULL, 'd16c78dadc934189776d4c6cefedd9ca7109451c6075cfc40c4cf747ecd31fcd');
INSERT INTO public.entries VALUES ('tgrp_never', 1, 'watch', '2026-11-24 12:06:40+00', NULL, NULL, NULL, NULL, NULL, NULL, NULL, NULL, NULL, NULL, NULL, NULL, NULL, NULL, NULL, NULL, NULL, NULL, NULL, NULL, NULL, NULL, NULL, NULL, NULL, NULL, 'started', 'ada@host', 'March batch', '667dc6223682e95396c4c34ee4cc5d2bf5ba5e6987cab5f8373deb003958e1bc');
INSERT INTO public.watches VALUES ('tgrp_1', 'watching', '2026-11-24 12:00:00+00', 8, 'status', '2026-11-24 12:03:21+00', 'b48a11fb409337c25a4cd73eb22ce2c94378e92f5bd9e4e0d3b2af173b167905', '2026-11-24 12:03:31+00', '2026-11-24 12:04:01+00', '2026-11-24 12:03:31+00', 10, '2026-11-24 12:05:30.5+00', 'recorder-one', '2026-11-24 12:05:30.5+00', '2026-11-24 12:03:20.5+00', '2026-11-24 12:03:21+00', 1, 8, 'c1a50cd1956385603bb048439fdc295add417e63b6e728a75ec91c54246f3808', 'settled', 5, '2026-11-24 11:03:20.123456+00', '2026-11-24 12:03:21+00', NULL);
INSERT INTO public.watches VALUES ('Gruppe ä', 'watching', '2026-11-24 12:05:00+00', 2, 'status', '2026-11-24 12:05:01+00', 'd16c78dadc934189776d4c6cefedd9ca7109451c6075cfc40c4cf747ecd31fcd', '2026-11-24 12:05:27+00', '2026-11-24 12:05:57+00', '2026-11-24 12:05:33.75+00', 15, '2026-11-24 12:05:33.75+00', NULL, NULL, '2026-11-24 12:05:11.5+00', '2026-11-24 12:05:12+00', 2, 2, 'b51a4f854442f43eb9d92c3952760d159ffc57d014db1a7fd5374e2838395ecc', 'settled', 5, NULL, '2026-11-24 12:05:01+00', '{"attempts": 1, "unpolled_seconds": 2.5, "tallies": [{"cause": "not_found", "count": 1, "http_status": 404, "detail": "Service Unavailable"}], "missing_polls": 1, "missing_since": "2026-11-24T12:05:30.000000Z"}');
INSERT INTO public.watches VALUES ('tgrp_never', 'watching', '2026-11-24 12:06:40+00', 1, 'watch', '2026-11-24 12:06:40+00', '667dc6223682e95396c4c34ee4cc5d2bf5ba5e6987cab5f8373deb003958e1bc', '2026-11-24 12:06:40+00', '2026-11-24 12:07:10+00', '2026-11-24 12:06:40+00', NULL, '2026-11-24 12:06:40+00', NULL, NULL, NULL, NULL, NULL, NULL, NULL, NULL, NULL, NULL, NULL, NULL);
ALTER TABLE ONLY public.alembic_version
    ADD CONSTRAINT alembic_version_pkc PRIMARY KEY (version_num);
ALTER TABLE ONLY public.entries
    ADD CONSTRAINT pk_entries PRIMARY KEY (taskgroup_id, seq);
ALTER TABLE ONLY public.recorders
    ADD CONSTRAINT pk_recorders PRIMARY KEY (recorder_id);
ALTER TABLE ONLY public.watches
    ADD CONSTRAINT pk_watches PRIMARY KEY (taskgroup_id);
CREATE INDEX ix_watches_enrolled_at_taskgroup_id ON public.watches USING btree (enrolled_at, taskgroup_id);
CREATE INDEX ix_watches_next_poll_at ON public.watches USING btree (next_poll_at);
CREATE TRIGGER entries_refuse_change BEFORE DELETE OR UPDATE ON public.entries FOR EACH ROW EXECUTE FUNCTION public.entries_refuse_change();
ALTER TABLE public.entries ENABLE ALWAYS TRIGGER entries_refuse_change;
CREATE TRIGGER entries_refuse_truncate BEFORE TRUNCATE ON public.entries FOR EACH STATEMENT EXECUTE FUNCTION public.entries_refuse_change();
ALTER TABLE public.entries ENABLE ALWAYS TRIGGER entries_refuse_truncate;
