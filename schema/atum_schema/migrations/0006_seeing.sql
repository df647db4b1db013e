-- Seeing: counters that are read at once, what processes know of the broker, and alerts that were told.

-- What happened since the beginning, for counters that no restart and no retention sets back. Whoever adds up transitions
-- moves it in the same statement, so that it and atum.transition together are always complete.
CREATE TABLE atum.transition_total (
    lane        text   NOT NULL,
    cause       text   NOT NULL,
    from_status text   NOT NULL,
    to_status   text   NOT NULL,
    reason      text   NOT NULL,
    number      bigint NOT NULL,
    PRIMARY KEY (lane, cause, from_status, to_status, reason)
) WITH (fillfactor = 50);
INSERT INTO atum.transition_total (lane, cause, from_status, to_status, reason, number)
SELECT lane, cause, from_status, to_status, reason, sum(number) FROM atum.transition_sum
GROUP BY lane, cause, from_status, to_status, reason;

CREATE VIEW atum.transition_totals AS
SELECT lane, cause, from_status, to_status, reason, number FROM atum.transition_total
UNION ALL
SELECT lane, cause, from_status, to_status, reason, number::bigint FROM atum.transition;

-- How a process fares with RabbitMQ. NULL: it does not talk to it. And the lanes that a relay or worker serves.
ALTER TABLE atum.part
    ADD COLUMN broker text,
    ADD COLUMN lanes text[] NOT NULL DEFAULT '{}',
    ADD CONSTRAINT part_broker_known CHECK (broker IN ('connected', 'blocked', 'away'));

-- What relays see of queues of RabbitMQ that nothing in Postgres tells of. Whoever reads it heeds looked_at.
CREATE TABLE atum.broker_queue (
    name      text        PRIMARY KEY,
    messages  bigint      NOT NULL,  -- that wait; not those that a consumer has in hand
    consumers integer     NOT NULL,
    looked_at timestamptz NOT NULL DEFAULT clock_timestamp()
) WITH (fillfactor = 50);

-- Alerts as `alerts watch` sees them: one row from when a condition begins to be met until its end was told.
CREATE TABLE atum.alert (
    name        text        PRIMARY KEY,
    since       timestamptz NOT NULL,              -- when the condition began to be met
    fired_at    timestamptz,                       -- when it had been met for long enough; NULL: not yet
    met_at      timestamptz NOT NULL,              -- when it was last seen to be met
    facts       jsonb       NOT NULL DEFAULT '{}'  -- the threshold, and what was measured
);

-- What each receiver was last told of each alert, and what it could not be told.
CREATE TABLE atum.alert_notice (
    name     text        NOT NULL,
    receiver text        NOT NULL,
    kind     text        NOT NULL,            -- of the last notice that it took, or of the first that it did not
    told_at  timestamptz,                     -- when it last took one that it fires: the cooldown begins there. NULL: never
    failures integer     NOT NULL DEFAULT 0,  -- tries in a row that it did not take
    due_at   timestamptz,                     -- when it is tried again
    failure  text,                            -- why it did not take the last one; never a secret
    PRIMARY KEY (name, receiver),
    CONSTRAINT alert_notice_kind_known CHECK (kind IN ('firing', 'resolved'))
);

-- Every try to tell somebody. Kept for as long as the log.
CREATE TABLE atum.alert_told (
    id       bigint      GENERATED ALWAYS AS IDENTITY PRIMARY KEY,
    at       timestamptz NOT NULL DEFAULT clock_timestamp(),
    name     text        NOT NULL,
    receiver text        NOT NULL,
    kind     text        NOT NULL,            -- firing, repeated, resolved or test
    failure  text,                            -- NULL: it was taken
    facts    jsonb       NOT NULL DEFAULT '{}'
);
CREATE INDEX alert_told_at ON atum.alert_told (at);

-- What is counted or looked up every few seconds, whatever else is in these tables.
CREATE INDEX webhook_inbox_told ON atum.webhook_inbox (received_at) WHERE source = 'webhook';
CREATE INDEX suppression_suppressed ON atum.suppression (stream) WHERE suppressed;
