-- The mail log, its hot queue, the batches in flight, and what explains each mail.
--
-- Everything lives in its own schema so that an application can keep these tables in its own database and
-- enqueue inside its own transaction. All times are timestamptz from the database clock.

CREATE SCHEMA IF NOT EXISTS atum;

-- The log: one row per accepted mail. Addresses, subject, tag and metadata are in clear for search; the
-- content is in atum.content, encrypted. No index covers a column that delivery updates, so the update of
-- an outcome stays on its page (HOT); fillfactor leaves room for it.
CREATE TABLE atum.mail (
    id                  uuid        NOT NULL,  -- UUIDv7, assigned at accept
    client              text        NOT NULL,
    lane                text        NOT NULL,
    stream              text        NOT NULL,
    status              text        NOT NULL,  -- stored projection; `sending` is derived from atum.batch
    on_unknown          text,                  -- NULL: what the lane says
    cycle               integer     NOT NULL DEFAULT 1,  -- starts again with each replay
    attempts            integer     NOT NULL DEFAULT 0,  -- POSTs charged to the mail in this cycle
    tries               integer     NOT NULL DEFAULT 0,  -- POSTs made in this cycle, charged or not
    sender              text        NOT NULL,
    to_line             text        NOT NULL,
    cc_line             text,
    bcc_line            text,
    subject             text        NOT NULL,
    tag                 text,
    metadata            jsonb,
    size                integer     NOT NULL,  -- bytes of the content before encryption
    accepted_at         timestamptz NOT NULL DEFAULT clock_timestamp(),
    send_at             timestamptz,
    expires_at          timestamptz,
    finished_at         timestamptz,           -- when the mail reached an end or was sent
    due_at              timestamptz,           -- when the next attempt is due, while it waits for one
    provider_message_id text,                  -- of the acceptance that is proven
    reason              text,                  -- why it is dead, retrying, unknown …, in a stable word
    detail              text,                  -- the same for people; never an address or a body
    PRIMARY KEY (id),
    CONSTRAINT mail_status_known CHECK (status IN (
        'queued', 'sent', 'retrying', 'scheduled', 'unknown', 'held', 'delivered', 'bounced', 'complained',
        'dead', 'suppressed', 'canceled', 'expired')),
    CONSTRAINT mail_on_unknown_known CHECK (on_unknown IN ('resend', 'hold')),
    CONSTRAINT mail_expires_after_send CHECK (expires_at > send_at),
    CONSTRAINT mail_sent_has_proof CHECK (status <> 'sent' OR finished_at IS NOT NULL)
) PARTITION BY RANGE (id);

-- What is sent, encrypted by the producer. Exists while any allowed transition can POST.
CREATE TABLE atum.content (
    mail_id uuid PRIMARY KEY,
    key_id  text  NOT NULL,
    body    bytea NOT NULL
) WITH (toast_tuple_target = 8160, autovacuum_vacuum_scale_factor = 0.05, autovacuum_vacuum_cost_delay = 1);
-- Ciphertext does not compress, so no time is spent on trying.
ALTER TABLE atum.content ALTER COLUMN body SET STORAGE EXTERNAL;

-- Why each mail is where it is: one row per transition, and per late or repeated fact.
CREATE TABLE atum.event (
    mail_id     uuid        NOT NULL,
    seq         bigint      GENERATED ALWAYS AS IDENTITY,
    at          timestamptz NOT NULL DEFAULT clock_timestamp(),
    cause       text        NOT NULL,
    from_status text,                 -- NULL: the mail came into being
    to_status   text        NOT NULL,
    batch_id    uuid,
    detail      text,
    -- The same table as atum_schema.status.TRANSITIONS; a test compares all combinations.
    CONSTRAINT event_transition_known CHECK (CASE cause
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
        WHEN 'reissued'           THEN to_status = from_status
        ELSE false END IS TRUE),
    CONSTRAINT event_status_known CHECK (to_status IN (
        'queued', 'sent', 'retrying', 'scheduled', 'unknown', 'held', 'delivered', 'bounced', 'complained',
        'dead', 'suppressed', 'canceled', 'expired'))
) PARTITION BY RANGE (mail_id);
CREATE INDEX event_mail ON atum.event (mail_id);

-- One row per POST and mail: what was asked of the provider, and what is known of the answer.
CREATE TABLE atum.attempt (
    mail_id             uuid        NOT NULL,
    batch_id            uuid        NOT NULL,
    token               uuid        NOT NULL,  -- of the posting mark
    outcome             text        NOT NULL,
    charged             boolean     NOT NULL,
    issued_at           timestamptz NOT NULL,
    posting_at          timestamptz NOT NULL,
    answered_at         timestamptz NOT NULL DEFAULT clock_timestamp(),
    http_status         smallint,
    code                integer,               -- Postmark ErrorCode
    provider_message_id text,
    detail              text,
    PRIMARY KEY (mail_id, batch_id),
    CONSTRAINT attempt_outcome_known CHECK (outcome IN ('accepted', 'deferred', 'rejected', 'unknown'))
) PARTITION BY RANGE (mail_id);

-- Mails that wait for a batch. Small and hot; a mail in here has no other owner.
CREATE TABLE atum.ready (
    mail_id uuid        NOT NULL,
    lane    text        NOT NULL,
    due_at  timestamptz NOT NULL,
    size    integer     NOT NULL,
    alone   boolean     NOT NULL DEFAULT false,  -- suspected of spoiling a batch: gets one of its own
    PRIMARY KEY (mail_id)
) WITH (autovacuum_vacuum_scale_factor = 0.0, autovacuum_vacuum_threshold = 5000,
        autovacuum_vacuum_cost_delay = 0, autovacuum_analyze_scale_factor = 0.0, autovacuum_analyze_threshold = 5000);
CREATE INDEX ready_due ON atum.ready (lane, due_at);

-- Mails travelling together. Issued and claimed may be redone; posting may not; unknown waits for evidence.
CREATE TABLE atum.batch (
    id            uuid        PRIMARY KEY,      -- random: the ticket in RabbitMQ carries nothing else
    lane          text        NOT NULL,
    account       text        NOT NULL,
    state         text        NOT NULL DEFAULT 'issued',
    mail_ids      uuid[]      NOT NULL,         -- sorted; the lock order of mails
    issued_at     timestamptz NOT NULL DEFAULT clock_timestamp(),
    publishes     integer     NOT NULL DEFAULT 0,
    published_at  timestamptz,                  -- when RabbitMQ last confirmed a ticket
    publish_after timestamptz NOT NULL,         -- when a ticket is published again if nobody claimed
    token         uuid,                         -- of the claim; only claim and release change it
    claimed_by    text,
    claims        integer     NOT NULL DEFAULT 0,
    claimed_at    timestamptz,
    posting_at    timestamptz,
    lease_until   timestamptz,
    CONSTRAINT batch_state_known CHECK (state IN ('issued', 'claimed', 'posting', 'unknown')),
    CONSTRAINT batch_issued_has_no_token CHECK ((state = 'issued') = (token IS NULL)),
    CONSTRAINT batch_posting_has_mark CHECK ((state IN ('posting', 'unknown')) = (posting_at IS NOT NULL)),
    CONSTRAINT batch_not_empty CHECK (cardinality(mail_ids) BETWEEN 1 AND 500)
) WITH (toast_tuple_target = 8160, fillfactor = 50, autovacuum_vacuum_scale_factor = 0.0,
        autovacuum_vacuum_threshold = 1000, autovacuum_vacuum_cost_delay = 0);
ALTER TABLE atum.batch ALTER COLUMN mail_ids SET STORAGE EXTERNAL;
-- Holds no column that claim or mark change, so that those updates stay on their page.
CREATE INDEX batch_lane ON atum.batch (lane, account);

-- One window of batches in flight per lane and account; its row lock is what relays agree by.
CREATE TABLE atum.flow (
    lane    text    NOT NULL,
    account text    NOT NULL,
    size    integer NOT NULL,   -- the window: batches that may be in flight at once
    PRIMARY KEY (lane, account),
    CONSTRAINT flow_size_not_negative CHECK (size >= 0)
);

-- Idempotency keys of clients, never partitioned so that they are unique for ever.
CREATE TABLE atum.idempotency (
    client      text        NOT NULL,
    key         text        NOT NULL,
    fingerprint bytea       NOT NULL,  -- SHA-256 of what was enqueued
    mail_id     uuid        NOT NULL,
    created_at  timestamptz NOT NULL DEFAULT clock_timestamp(),
    PRIMARY KEY (client, key)
);

-- The (mail, cycle) pairs whose message belongs into the queue mail.dead.
CREATE TABLE atum.dead_letter (
    mail_id      uuid        NOT NULL,
    cycle        integer     NOT NULL,
    reason       text        NOT NULL,
    code         integer,
    attempts     integer     NOT NULL,
    dead_at      timestamptz NOT NULL DEFAULT clock_timestamp(),
    publish_after timestamptz NOT NULL DEFAULT clock_timestamp(),  -- when a relay may publish its message (again)
    published_at timestamptz,          -- when RabbitMQ confirmed the message
    PRIMARY KEY (mail_id, cycle)
);
CREATE INDEX dead_letter_unpublished ON atum.dead_letter (dead_at) WHERE published_at IS NULL;

-- Relays that sleep until a NOTIFY or the next poll. Producers and workers notify only while one does,
-- because NOTIFY takes a database-wide lock at commit. Nothing is lost with it, hence unlogged.
CREATE UNLOGGED TABLE atum.sleeper (
    relay    uuid        PRIMARY KEY,
    until    timestamptz NOT NULL,
    for_mail boolean     NOT NULL,  -- a window has room and nothing was due
    for_room boolean     NOT NULL   -- a window is full
);

-- The partitions of mail, event and attempt: one per month of UUIDv7, and a default one so that a wrong
-- clock of a producer can never make an insert fail.
CREATE FUNCTION atum.month_floor(month date) RETURNS uuid
    LANGUAGE sql IMMUTABLE PARALLEL SAFE
    RETURN (lpad(to_hex((extract(epoch FROM month::timestamp AT TIME ZONE 'UTC') * 1000)::bigint), 12, '0')
            || '00000000000000000000')::uuid;

CREATE FUNCTION atum.ensure_partitions(months_ahead integer DEFAULT 3) RETURNS integer
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
        FOREACH parent IN ARRAY ARRAY['mail', 'event', 'attempt'] LOOP
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
REVOKE ALL ON FUNCTION atum.ensure_partitions(integer) FROM PUBLIC;

CREATE TABLE atum.mail_default    PARTITION OF atum.mail    DEFAULT;
CREATE TABLE atum.event_default   PARTITION OF atum.event   DEFAULT;
CREATE TABLE atum.attempt_default PARTITION OF atum.attempt DEFAULT;
SELECT atum.ensure_partitions();
