-- The way back: what the provider tells of accepted mail, whom not to mail, and work that is done now and then.

-- Events of the provider as they came, stored before they are acknowledged. What is applied stays for a while, so that
-- a copy is known.
CREATE TABLE atum.webhook_inbox (
    id          uuid        PRIMARY KEY,  -- UUIDv7; the body is bound to it
    dedupe      bytea       NOT NULL,     -- SHA-256 of what makes two events the same
    source      text        NOT NULL,
    received_at timestamptz NOT NULL DEFAULT clock_timestamp(),
    state       text        NOT NULL DEFAULT 'new',
    due_at      timestamptz NOT NULL DEFAULT clock_timestamp(),  -- when it is applied (again), while it waits
    tries       integer     NOT NULL DEFAULT 0,                  -- how often no mail was found for it
    done_at     timestamptz,
    kind        text,                     -- what the provider calls it, once it was read
    reason      text,                     -- why it waits or changed nothing, in a stable word
    mail_id     uuid,                     -- what it was about, where that is known
    key_id      text        NOT NULL,
    body        bytea       NOT NULL,     -- encrypted: it has addresses, and may quote a mail
    CONSTRAINT webhook_inbox_source_known CHECK (source IN ('webhook', 'catch_up')),
    CONSTRAINT webhook_inbox_state_known CHECK (state IN ('new', 'parked', 'applied', 'ignored', 'unmatched', 'unreadable')),
    CONSTRAINT webhook_inbox_done_has_time CHECK ((state IN ('new', 'parked')) = (done_at IS NULL)),
    CONSTRAINT webhook_inbox_dedupe_size CHECK (octet_length(dedupe) = 32)
) WITH (fillfactor = 80, autovacuum_vacuum_scale_factor = 0.02);
ALTER TABLE atum.webhook_inbox ALTER COLUMN body SET STORAGE EXTERNAL;
CREATE UNIQUE INDEX webhook_inbox_dedupe ON atum.webhook_inbox (dedupe);
CREATE INDEX webhook_inbox_due ON atum.webhook_inbox (due_at) WHERE state IN ('new', 'parked');

-- What is known of each recipient: one row per fact, and a fact that is told twice is one.
CREATE TABLE atum.recipient_event (
    mail_id    uuid        NOT NULL,
    recipient  text        NOT NULL,              -- lower case; empty where the provider did not say whom
    kind       text        NOT NULL,
    fact       text        NOT NULL DEFAULT '',   -- tells facts of one kind apart: a bounce's id, a time
    told_at    timestamptz,                       -- by the provider's clock
    noted_at   timestamptz NOT NULL DEFAULT clock_timestamp(),
    source     text        NOT NULL,
    message_id text,
    code       integer,                           -- the provider's number for the type of a bounce
    detail     text,                              -- in the provider's words; may name the recipient
    PRIMARY KEY (mail_id, recipient, kind, fact),
    CONSTRAINT recipient_event_kind_known CHECK (kind IN (
        'suppressed', 'delayed', 'soft_bounced', 'delivered', 'bounced', 'complained',
        'opened', 'clicked', 'replied', 'unsubscribed', 'resubscribed', 'informed')),
    CONSTRAINT recipient_event_source_known CHECK (source IN ('webhook', 'catch_up', 'worker'))
) PARTITION BY RANGE (mail_id);
CREATE TABLE atum.recipient_event_default PARTITION OF atum.recipient_event DEFAULT;

-- Whom a stream must not mail. A row stays when it is lifted: the latest word counts, in whatever order words come. A
-- complaint is never lifted.
CREATE TABLE atum.suppression (
    stream     text        NOT NULL,
    address    text        NOT NULL,  -- lower case
    suppressed boolean     NOT NULL,
    reason     text        NOT NULL,
    origin     text        NOT NULL,  -- whose word it is
    source     text        NOT NULL,  -- how it came to us
    changed_at timestamptz NOT NULL,  -- when the word was given
    noted_at   timestamptz NOT NULL DEFAULT clock_timestamp(),
    note       text,                  -- of the person who made it
    pending    text,                  -- what the provider has yet to be told
    tries      integer     NOT NULL DEFAULT 0,
    due_at     timestamptz,           -- when it is told (again)
    PRIMARY KEY (stream, address),
    CONSTRAINT suppression_reason_known CHECK (reason IN ('hard_bounce', 'complaint', 'manual')),
    CONSTRAINT suppression_origin_known CHECK (origin IN ('recipient', 'customer', 'admin')),
    CONSTRAINT suppression_source_known CHECK (source IN ('webhook', 'catch_up', 'sync', 'operator', 'api')),
    CONSTRAINT suppression_pending_known CHECK (pending IN ('add', 'remove')),
    CONSTRAINT suppression_pending_has_time CHECK ((pending IS NULL) = (due_at IS NULL)),
    CONSTRAINT suppression_complaint_stays CHECK (suppressed OR reason <> 'complaint')
);
CREATE INDEX suppression_pending ON atum.suppression (due_at) WHERE pending IS NOT NULL;

-- What people and API clients changed by hand. Append-only.
CREATE TABLE atum.audit (
    id     bigint      GENERATED ALWAYS AS IDENTITY PRIMARY KEY,
    at     timestamptz NOT NULL DEFAULT clock_timestamp(),
    actor  text        NOT NULL,  -- 'operator:<name>', 'client:<name>' or 'system:<part>'
    action text        NOT NULL,
    detail jsonb       NOT NULL DEFAULT '{}'
);
CREATE INDEX audit_at ON atum.audit (at);

-- Work that is done now and then by any worker. The relay sends a ticket for what is due; a lease keeps it to one worker.
CREATE TABLE atum.maintenance (
    name          text        PRIMARY KEY,
    id            uuid        NOT NULL DEFAULT gen_random_uuid(),  -- what its ticket carries
    due_at        timestamptz NOT NULL DEFAULT clock_timestamp(),
    publishes     integer     NOT NULL DEFAULT 0,
    publish_after timestamptz NOT NULL DEFAULT clock_timestamp(),
    token         uuid,
    lease_until   timestamptz,
    started_at    timestamptz,
    ended_at      timestamptz,
    failure       text,                                            -- of the last run, if it failed
    progress      jsonb       NOT NULL DEFAULT '{}'
) WITH (fillfactor = 50);
INSERT INTO atum.maintenance (name) VALUES ('apply_events'), ('tell_suppressions'), ('catch_up');

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
        WHEN 'released'           THEN (to_status = 'queued' AND from_status IN ('held', 'queued'))
                                       OR (to_status = from_status AND from_status <> 'held')
        WHEN 'replayed'           THEN (to_status = 'queued' AND from_status IN ('dead', 'suppressed', 'canceled', 'expired', 'queued'))
                                       OR (to_status = from_status AND from_status IN ('scheduled', 'retrying', 'unknown', 'held', 'sent', 'delivered', 'bounced', 'complained'))
        WHEN 'poisoned'           THEN (to_status = 'dead' AND from_status IN ('queued', 'retrying', 'scheduled', 'unknown', 'held', 'dead'))
                                       OR (to_status = from_status AND from_status IN ('sent', 'delivered', 'bounced', 'complained', 'suppressed', 'canceled', 'expired'))
        WHEN 'reissued'           THEN to_status = from_status
        WHEN 'searched'           THEN to_status = from_status
        WHEN 'answered_late'      THEN to_status = from_status
        WHEN 'duplicate_found'    THEN to_status = from_status
        WHEN 'partly_suppressed'  THEN to_status = from_status
        ELSE false END IS TRUE);

-- As before, with the new table.
CREATE OR REPLACE FUNCTION atum.ensure_partitions(months_ahead integer DEFAULT 3) RETURNS integer
    LANGUAGE plpgsql SECURITY DEFINER SET search_path = pg_catalog, pg_temp AS $$
DECLARE
    month date;
    parent text;
    part text;
    made integer := 0;
    room text;
    key text;
    lower uuid;
    upper uuid;
    strays boolean;
BEGIN
    PERFORM pg_advisory_xact_lock(hashtext('atum.ensure_partitions'));
    FOR step IN -1 .. months_ahead LOOP
        month := (date_trunc('month', now() AT TIME ZONE 'UTC') + make_interval(months => step))::date;
        FOREACH parent IN ARRAY ARRAY['mail', 'event', 'attempt', 'recipient_event'] LOOP
            part := format('%s_%s', parent, to_char(month, 'YYYY_MM'));
            IF to_regclass(format('atum.%I', part)) IS NULL THEN
                room := CASE parent WHEN 'mail' THEN ' WITH (fillfactor = 55)' ELSE '' END;
                key := CASE parent WHEN 'mail' THEN 'id' ELSE 'mail_id' END;
                lower := atum.month_floor(month);
                upper := atum.month_floor((month + interval '1 month')::date);
                EXECUTE format('SELECT EXISTS (SELECT FROM atum.%I WHERE %I >= %L AND %I < %L)',
                    parent || '_default', key, lower, key, upper) INTO strays;
                IF strays THEN
                    -- A producer's clock ran ahead: its rows move from the default partition into their month.
                    EXECUTE format('CREATE TABLE atum.%I (LIKE atum.%I INCLUDING DEFAULTS INCLUDING CONSTRAINTS '
                        'INCLUDING STORAGE)%s', part, parent, room);
                    EXECUTE format('WITH moved AS (DELETE FROM atum.%I WHERE %I >= %L AND %I < %L RETURNING *) '
                        'INSERT INTO atum.%I SELECT * FROM moved',
                        parent || '_default', key, lower, key, upper, part);
                    EXECUTE format('ALTER TABLE atum.%I ATTACH PARTITION atum.%I FOR VALUES FROM (%L) TO (%L)',
                        parent, part, lower, upper);
                ELSE
                    EXECUTE format('CREATE TABLE atum.%I PARTITION OF atum.%I FOR VALUES FROM (%L) TO (%L)%s',
                        part, parent, lower, upper, room);
                END IF;
                made := made + 1;
            END IF;
        END LOOP;
    END LOOP;
    RETURN made;
END $$;
SELECT atum.ensure_partitions();
