-- Operating: what people change and look at, how much of everything happened, and who is at work.

-- The mail that a person sent again as this one, and the only account that may send it; neither changes in delivery.
ALTER TABLE atum.mail
    ADD COLUMN resent_from uuid,
    ADD COLUMN account     text;  -- NULL: whichever its lane uses
CREATE INDEX mail_resent_from ON atum.mail (resent_from) WHERE resent_from IS NOT NULL;
ALTER TABLE atum.ready ADD COLUMN account text;  -- as in the log
CREATE INDEX ready_pinned ON atum.ready (lane, due_at) WHERE account IS NOT NULL;

-- Who was asked: a provider's account. NULL: before anybody kept it.
ALTER TABLE atum.attempt ADD COLUMN account text;

-- Mails that wait for a person. Few, so they are found without a walk over the log.
CREATE TABLE atum.held (
    mail_id uuid        PRIMARY KEY,
    since   timestamptz NOT NULL DEFAULT clock_timestamp()
);
INSERT INTO atum.held (mail_id) SELECT id FROM atum.mail WHERE status = 'held';

CREATE INDEX dead_letter_at ON atum.dead_letter (dead_at, mail_id);
INSERT INTO atum.maintenance (name, due_at) VALUES ('sweep_dead', clock_timestamp() + interval '1 hour');

-- Every transition, counted where it is made: one row per statement and kind, so that nobody waits for a counter's row.
-- A task adds them up.
CREATE TABLE atum.transition (
    at          timestamptz NOT NULL DEFAULT clock_timestamp(),
    lane        text        NOT NULL,
    cause       text        NOT NULL,
    from_status text        NOT NULL,
    to_status   text        NOT NULL,
    reason      text        NOT NULL,  -- a stable word; empty: none
    code        integer     NOT NULL,  -- ErrorCode of the provider; 0: none
    http_status smallint    NOT NULL,  -- 0: none
    number      integer     NOT NULL
) WITH (autovacuum_vacuum_scale_factor = 0.0, autovacuum_vacuum_threshold = 5000, autovacuum_vacuum_cost_delay = 0);

-- The same, added up by minute, later by hour. Never pruned.
CREATE TABLE atum.transition_sum (
    at          timestamptz NOT NULL,  -- the beginning of the minute, or of the hour
    lane        text        NOT NULL,
    cause       text        NOT NULL,
    from_status text        NOT NULL,
    to_status   text        NOT NULL,
    reason      text        NOT NULL,
    code        integer     NOT NULL,
    http_status smallint    NOT NULL,
    number      bigint      NOT NULL,
    PRIMARY KEY (at, lane, cause, from_status, to_status, reason, code, http_status)
);

INSERT INTO atum.maintenance (name) VALUES ('add_up');

CREATE VIEW atum.transitions AS
SELECT at, lane, cause, from_status, to_status, reason, code, http_status, number::bigint AS number FROM atum.transition
UNION ALL
SELECT at, lane, cause, from_status, to_status, reason, code, http_status, number FROM atum.transition_sum;

-- What operators set while the system runs; it goes before the environment. Never a secret. Each change is one version.
CREATE TABLE atum.setting (
    name       text        PRIMARY KEY,
    value      text        NOT NULL,  -- as in the environment
    version    bigint      NOT NULL,
    changed_at timestamptz NOT NULL DEFAULT clock_timestamp()
);
CREATE TABLE atum.setting_change (
    version bigint      PRIMARY KEY,
    at      timestamptz NOT NULL DEFAULT clock_timestamp(),
    actor   text        NOT NULL,
    reason  text,
    changes jsonb       NOT NULL  -- {name: [before, after]}; null: what the environment says
);

-- Work of an operator on many mails: what was asked for, how far it is, and what became of them. It can be taken up again.
CREATE TABLE atum.operation (
    id         uuid        PRIMARY KEY,
    kind       text        NOT NULL,
    actor      text        NOT NULL,
    reason     text,
    selection  jsonb       NOT NULL,  -- what was asked for
    began_at   timestamptz NOT NULL DEFAULT clock_timestamp(),
    last       jsonb,                 -- where to go on; NULL: at the beginning
    counts     jsonb       NOT NULL DEFAULT '{}',
    ended_at   timestamptz
);
CREATE INDEX operation_began ON atum.operation (began_at);

INSERT INTO atum.maintenance (name) VALUES ('reencrypt');

-- Processes of ours that are at work, or were lately. Each says so every few seconds.
CREATE TABLE atum.part (
    id         uuid        PRIMARY KEY,
    kind       text        NOT NULL,
    name       text        NOT NULL,  -- host and process
    version    text        NOT NULL,
    started_at timestamptz NOT NULL DEFAULT clock_timestamp(),
    seen_at    timestamptz NOT NULL DEFAULT clock_timestamp(),
    worked_at  timestamptz,           -- when it last did what it is there for
    ended_at   timestamptz            -- it said good-bye
) WITH (fillfactor = 50);

INSERT INTO atum.maintenance (name) VALUES ('retain');

-- Drops a month of the log: its partitions of all tables. Mails that have an owner, and those of `staying`, are put aside
-- before, into the default partitions. NULL: these are more than `most`, and nothing was done. Where a lock is not to be
-- had within `patience_ms`, it fails. While it holds the log's locks, nobody can move a mail: each has its owner.
CREATE FUNCTION atum.drop_month(month date, staying uuid[], most integer, patience_ms integer) RETURNS integer
    LANGUAGE plpgsql SECURITY DEFINER SET search_path = pg_catalog, pg_temp AS $$
DECLARE
    parents constant text[] := ARRAY['mail', 'event', 'attempt', 'recipient_event'];
    lower constant uuid := atum.month_floor(month);
    upper constant uuid := atum.month_floor((month + interval '1 month')::date);
    parent text;
    part text;
    kept uuid[];
    rows integer;
    aside integer := 0;
BEGIN
    IF month <> date_trunc('month', month)
       OR month > date_trunc('month', now() AT TIME ZONE 'UTC') - interval '2 months' THEN
        RAISE EXCEPTION 'month %: must be the first day of a month before last month', month;
    END IF;
    PERFORM set_config('lock_timeout', patience_ms::text, true);
    PERFORM pg_advisory_xact_lock(hashtext('atum.ensure_partitions'));
    -- What has but few readers is locked first: nobody waits for a month that a vacuum holds.
    FOREACH parent IN ARRAY parents LOOP
        part := format('%s_%s', parent, to_char(month, 'YYYY_MM'));
        IF to_regclass(format('atum.%I', part)) IS NOT NULL THEN
            EXECUTE format('LOCK TABLE ONLY atum.%I, ONLY atum.%I IN ACCESS EXCLUSIVE MODE', part, parent || '_default');
        END IF;
    END LOOP;
    FOREACH parent IN ARRAY parents LOOP
        EXECUTE format('LOCK TABLE ONLY atum.%I IN ACCESS EXCLUSIVE MODE', parent);
    END LOOP;
    kept := ARRAY(
        SELECT id FROM (
            SELECT mail_id FROM atum.ready WHERE mail_id >= lower AND mail_id < upper
            UNION SELECT mail_id FROM atum.held WHERE mail_id >= lower AND mail_id < upper
            UNION SELECT mail_id FROM atum.dead_letter WHERE mail_id >= lower AND mail_id < upper
            UNION SELECT unnest(mail_ids) FROM atum.batch
            UNION SELECT unnest(staying)) AS owned (id)
        WHERE id >= lower AND id < upper);
    IF cardinality(kept) > most THEN
        RETURN NULL;
    END IF;
    FOREACH parent IN ARRAY parents LOOP
        part := format('%s_%s', parent, to_char(month, 'YYYY_MM'));
        IF to_regclass(format('atum.%I', part)) IS NOT NULL THEN
            EXECUTE format('ALTER TABLE atum.%I DETACH PARTITION atum.%I', parent, part);
            EXECUTE format('INSERT INTO atum.%I SELECT * FROM atum.%I WHERE %I = ANY($1)', parent || '_default', part,
                CASE parent WHEN 'mail' THEN 'id' ELSE 'mail_id' END) USING kept;
            GET DIAGNOSTICS rows = ROW_COUNT;
            EXECUTE format('DROP TABLE atum.%I', part);
            IF parent = 'mail' THEN
                aside := rows;
            END IF;
        END IF;
    END LOOP;
    RETURN aside;
END $$;
REVOKE ALL ON FUNCTION atum.drop_month(date, uuid[], integer, integer) FROM PUBLIC;

ALTER TABLE atum.event
    DROP CONSTRAINT event_transition_known;
ALTER TABLE atum.event
    -- The same table as atum_schema.status.TRANSITIONS; a test compares all combinations.
    ADD CONSTRAINT event_transition_known CHECK (CASE cause
        WHEN 'accepted'           THEN from_status IS NULL AND to_status = 'queued'
        WHEN 'provider_accepted'  THEN (to_status = 'sent' AND from_status IN ('queued', 'retrying', 'scheduled', 'unknown', 'held', 'dead', 'suppressed', 'canceled', 'expired'))
                                       OR (to_status = from_status AND from_status IN ('sent', 'delivered', 'bounced', 'complained'))
        WHEN 'retry_scheduled'    THEN (to_status = 'retrying' AND from_status IN ('queued', 'retrying', 'scheduled', 'unknown', 'held'))
                                       OR (to_status = from_status AND from_status IN ('sent', 'delivered', 'bounced', 'complained', 'dead', 'suppressed', 'canceled', 'expired'))
        WHEN 'accepted_for_later' THEN from_status IS NULL AND to_status = 'scheduled'
        WHEN 'provider_rejected'  THEN (to_status = 'dead' AND from_status IN ('queued', 'retrying', 'scheduled', 'unknown', 'held', 'dead'))
                                       OR (to_status = from_status AND from_status IN ('sent', 'delivered', 'bounced', 'complained', 'suppressed', 'canceled', 'expired'))
        WHEN 'attempts_exhausted' THEN (to_status = 'dead' AND from_status IN ('queued', 'retrying', 'scheduled', 'unknown', 'held', 'dead'))
                                       OR (to_status = from_status AND from_status IN ('sent', 'delivered', 'bounced', 'complained', 'suppressed', 'canceled', 'expired'))
        WHEN 'tries_exhausted'    THEN (to_status = 'dead' AND from_status IN ('queued', 'retrying', 'scheduled', 'unknown', 'held', 'dead'))
                                       OR (to_status = from_status AND from_status IN ('sent', 'delivered', 'bounced', 'complained', 'suppressed', 'canceled', 'expired'))
        WHEN 'outcome_unknown'    THEN (to_status = 'unknown' AND from_status IN ('queued', 'retrying', 'scheduled', 'unknown'))
                                       OR (to_status = from_status AND from_status IN ('held', 'sent', 'delivered', 'bounced', 'complained', 'dead', 'suppressed', 'canceled', 'expired'))
        WHEN 'expired'            THEN (to_status = 'expired' AND from_status IN ('queued', 'retrying', 'scheduled', 'unknown', 'held', 'expired'))
                                       OR (to_status = from_status AND from_status IN ('sent', 'delivered', 'bounced', 'complained', 'dead', 'suppressed', 'canceled'))
        WHEN 'canceled'           THEN (to_status = 'canceled' AND from_status IN ('queued', 'retrying', 'scheduled', 'held', 'canceled'))
                                       OR (to_status = from_status AND from_status IN ('unknown', 'sent', 'delivered', 'bounced', 'complained', 'dead', 'suppressed', 'expired'))
        WHEN 'suppressed'         THEN (to_status = 'suppressed' AND from_status IN ('queued', 'retrying', 'scheduled', 'suppressed'))
                                       OR (to_status = from_status AND from_status IN ('unknown', 'held', 'sent', 'delivered', 'bounced', 'complained', 'dead', 'canceled', 'expired'))
        WHEN 'found'              THEN (to_status = 'sent' AND from_status IN ('queued', 'retrying', 'scheduled', 'unknown', 'held', 'dead', 'suppressed', 'canceled', 'expired', 'sent'))
                                       OR (to_status = from_status AND from_status IN ('delivered', 'bounced', 'complained'))
        WHEN 'delivered'          THEN (to_status = 'delivered' AND from_status IN ('queued', 'retrying', 'scheduled', 'unknown', 'held', 'dead', 'suppressed', 'canceled', 'expired', 'sent', 'delivered'))
                                       OR (to_status = from_status AND from_status IN ('bounced', 'complained'))
        WHEN 'bounced'            THEN (to_status = 'bounced' AND from_status IN ('queued', 'retrying', 'scheduled', 'unknown', 'held', 'dead', 'suppressed', 'canceled', 'expired', 'sent', 'delivered', 'bounced'))
                                       OR (to_status = from_status AND from_status = 'complained')
        WHEN 'complained'         THEN to_status = 'complained' AND from_status IN ('queued', 'retrying', 'scheduled', 'unknown', 'held', 'dead', 'suppressed', 'canceled', 'expired', 'sent', 'delivered', 'bounced', 'complained')
        WHEN 'resend_allowed'     THEN (to_status = 'queued' AND from_status IN ('unknown', 'queued'))
                                       OR (to_status = from_status AND from_status <> 'unknown')
        WHEN 'held'               THEN (to_status = 'held' AND from_status IN ('unknown', 'held'))
                                       OR (to_status = from_status AND from_status <> 'unknown')
        WHEN 'held_back'          THEN (to_status = 'held' AND from_status IN ('queued', 'retrying', 'scheduled', 'held'))
                                       OR (to_status = from_status AND from_status IN ('unknown', 'sent', 'delivered', 'bounced', 'complained', 'dead', 'suppressed', 'canceled', 'expired'))
        WHEN 'discarded'          THEN (to_status = 'canceled' AND from_status IN ('dead', 'canceled'))
                                       OR (to_status = from_status AND from_status <> 'dead')
        WHEN 'released'           THEN (to_status = 'queued' AND from_status IN ('held', 'queued'))
                                       OR (to_status = from_status AND from_status <> 'held')
        WHEN 'replayed'           THEN (to_status = 'queued' AND from_status IN ('dead', 'suppressed', 'canceled', 'expired', 'queued'))
                                       OR (to_status = from_status AND from_status IN ('scheduled', 'retrying', 'unknown', 'held', 'sent', 'delivered', 'bounced', 'complained'))
        WHEN 'poisoned'           THEN (to_status = 'dead' AND from_status IN ('queued', 'retrying', 'scheduled', 'unknown', 'held', 'dead'))
                                       OR (to_status = from_status AND from_status IN ('sent', 'delivered', 'bounced', 'complained', 'suppressed', 'canceled', 'expired'))
        WHEN 'hurried'            THEN to_status = from_status
        WHEN 'resent'             THEN to_status = from_status
        WHEN 'reissued'           THEN to_status = from_status
        WHEN 'searched'           THEN to_status = from_status
        WHEN 'answered_late'      THEN to_status = from_status
        WHEN 'duplicate_found'    THEN to_status = from_status
        WHEN 'partly_suppressed'  THEN to_status = from_status
        ELSE false END IS TRUE);
