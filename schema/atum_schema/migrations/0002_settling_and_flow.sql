-- Settling by evidence, flow control, poison, and noticing that the database is not the one it was.

-- Both columns change only when something is wrong, so the outcome of a healthy mail still stays on its page.
ALTER TABLE atum.mail
    ADD COLUMN crashes    integer NOT NULL DEFAULT 0,  -- times in a row that a worker died with this mail alone
    ADD COLUMN duplicates integer NOT NULL DEFAULT 0;  -- proven copies at the provider beyond the first
CREATE INDEX mail_duplicated ON atum.mail (id) WHERE duplicates > 0;

-- A mail under suspicion travels with at most so many others of the same suspicion: halved until it is alone.
ALTER TABLE atum.ready ADD COLUMN at_most integer;
UPDATE atum.ready SET at_most = 1 WHERE alone;
ALTER TABLE atum.ready DROP COLUMN alone, ADD CONSTRAINT ready_at_most_positive CHECK (at_most >= 1);

-- What settling knows of an unknown batch. `search_at` is what searches compare and set.
ALTER TABLE atum.batch
    ADD COLUMN anchor_at timestamptz,                     -- the latest moment at which the provider could have accepted it
    ADD COLUMN search_at timestamptz,                     -- when the next search is due
    ADD COLUMN searches  integer NOT NULL DEFAULT 0,      -- searches that found nothing and count
    ADD COLUMN counted_at timestamptz,                    -- when the last of them was made
    ADD COLUMN failures  integer NOT NULL DEFAULT 0,      -- searches in a row that failed, and count for nothing
    ADD COLUMN by_mail   boolean NOT NULL DEFAULT false;  -- no batch id was kept: searched by each mail's id
UPDATE atum.batch SET anchor_at = clock_timestamp(), search_at = clock_timestamp(), publish_after = clock_timestamp()
WHERE state = 'unknown';
ALTER TABLE atum.batch
    ADD CONSTRAINT batch_unknown_is_settled CHECK (
        (state = 'unknown') = (anchor_at IS NOT NULL) AND (state = 'unknown') = (search_at IS NOT NULL));

-- Finds a control: some mail that the provider accepted after a moment. Grows at its right end only.
CREATE INDEX attempt_accepted ON atum.attempt (posting_at) WHERE outcome = 'accepted';

-- The window of a lane and account, moved by what the provider answers, as TCP moves its own.
ALTER TABLE atum.flow
    ADD COLUMN ceiling    integer     NOT NULL DEFAULT 32,      -- the window never grows beyond this
    ADD COLUMN threshold  integer     NOT NULL DEFAULT 32,      -- slow start up to here, additive increase above
    ADD COLUMN credit     float8      NOT NULL DEFAULT 0,       -- successes since the window last grew
    ADD COLUMN state      text        NOT NULL DEFAULT 'open',
    ADD COLUMN reason     text,                                 -- why it is closed or paused, in a stable word
    ADD COLUMN paused_by  text,                                 -- an operator's pause ends by an operator only
    ADD COLUMN since      timestamptz NOT NULL DEFAULT clock_timestamp(),  -- when the state began
    ADD COLUMN probe_at   timestamptz,                          -- when one mail may try a closed or paused lane
    ADD COLUMN probes     integer     NOT NULL DEFAULT 0,       -- probes that failed since it closed
    ADD COLUMN not_before timestamptz,                          -- the provider asked for silence until then
    ADD COLUMN cut_at     timestamptz,                          -- when it was last halved; older requests halve it no more
    ADD COLUMN good       float8      NOT NULL DEFAULT 0,       -- requests answered well, decaying
    ADD COLUMN bad        float8      NOT NULL DEFAULT 0,       -- requests that failed provider-wide, decaying
    ADD COLUMN counted_at timestamptz NOT NULL DEFAULT clock_timestamp(),  -- when the two were last decayed
    ADD COLUMN rate       float8,                               -- mails per second that may be issued; NULL: no limit
    ADD COLUMN burst      float8      NOT NULL DEFAULT 0,       -- mails that may be issued at once after silence
    ADD COLUMN tokens     float8      NOT NULL DEFAULT 0,
    ADD COLUMN tokens_at  timestamptz NOT NULL DEFAULT clock_timestamp(),
    ADD COLUMN sent_rate  float8      NOT NULL DEFAULT 0,       -- mails per second lately accepted, for the drain estimate
    ADD COLUMN outage_at  timestamptz,                          -- when the last outage began, and when it ended
    ADD COLUMN outage_end timestamptz;
UPDATE atum.flow SET ceiling = greatest(size, 1), threshold = greatest(size, 1);
ALTER TABLE atum.flow
    ADD CONSTRAINT flow_state_known CHECK (state IN ('open', 'closed', 'paused')),
    ADD CONSTRAINT flow_closed_has_reason CHECK ((state = 'open') = (reason IS NULL)),
    ADD CONSTRAINT flow_within_ceiling CHECK (ceiling >= 1 AND size <= ceiling);

-- Which server wrote this. After a restore, or on a replica that was promoted too early, acknowledged commits may be
-- missing, posting marks among them.
CREATE TABLE atum.cluster (
    only_row          boolean     PRIMARY KEY DEFAULT true,
    system_identifier bigint      NOT NULL,
    timeline          integer     NOT NULL,
    seen_at           timestamptz NOT NULL DEFAULT clock_timestamp(),
    CONSTRAINT cluster_one_row CHECK (only_row)
);
CREATE FUNCTION atum.timeline() RETURNS integer
    LANGUAGE sql STABLE
    RETURN ('x' || left(pg_walfile_name(pg_current_wal_insert_lsn()), 8))::bit(32)::integer;
INSERT INTO atum.cluster (system_identifier, timeline)
SELECT system_identifier, atum.timeline() FROM pg_control_system();

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
        ELSE false END IS TRUE);
