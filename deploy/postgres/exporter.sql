-- The role of `atum-mailer exporter`: it reads what the exporter shows, and nothing else. No mail, no address, no content.
--
-- Run it after `atum-mailer migrate`, in the database of atum-mailer, as its owner (who may make roles), and again after
-- each upgrade. It may be run any number of times:
--
--   psql "$ATUM_DATABASE_URL" --set ON_ERROR_STOP=1 --file deploy/postgres/exporter.sql
--
-- It sets no password. Do that once, so that it is in no file, no history and no log of the server:
--
--   psql "$ATUM_DATABASE_URL" --command '\password atum_exporter'

BEGIN;

DO $$
BEGIN
    CREATE ROLE atum_exporter;
EXCEPTION
    -- The other one: somebody else makes it in this moment.
    WHEN duplicate_object OR unique_violation THEN NULL;
END
$$;
-- A connection for each exporter, for a restart that overlaps, and for a person who looks.
ALTER ROLE atum_exporter LOGIN NOINHERIT CONNECTION LIMIT 5;
ALTER ROLE atum_exporter SET default_transaction_read_only = 'on';
ALTER ROLE atum_exporter SET statement_timeout = '2s';
ALTER ROLE atum_exporter SET lock_timeout = '1s';
ALTER ROLE atum_exporter SET idle_in_transaction_session_timeout = '10s';

-- What an older version of this file granted goes.
REVOKE ALL ON ALL TABLES IN SCHEMA atum FROM atum_exporter;
GRANT USAGE ON SCHEMA atum TO atum_exporter;

-- Queues and windows: ids, times and numbers.
GRANT SELECT (lane, due_at) ON atum.ready TO atum_exporter;
GRANT SELECT (lane, account, state, mail_ids, issued_at, lease_until, posting_at, failures) ON atum.batch TO atum_exporter;
GRANT SELECT (since) ON atum.held TO atum_exporter;
GRANT SELECT (dead_at, published_at) ON atum.dead_letter TO atum_exporter;
GRANT SELECT ON atum.flow TO atum_exporter;
-- Counters.
GRANT SELECT ON atum.transitions, atum.transition_totals, atum.tally TO atum_exporter;
-- Processes and tasks.
GRANT SELECT ON atum.part, atum.broker_queue TO atum_exporter;
GRANT SELECT (id, name, due_at, lease_until, ended_at, failure) ON atum.maintenance TO atum_exporter;
-- Settings that operators change; there is never a secret among them.
GRANT SELECT (name, value) ON atum.setting TO atum_exporter;
GRANT SELECT (version) ON atum.setting_change TO atum_exporter;
-- Events and suppressions can be counted; what they say, and of whom, cannot be read.
GRANT SELECT (source, kind, state, received_at, due_at) ON atum.webhook_inbox TO atum_exporter;
GRANT SELECT (suppressed, pending, due_at) ON atum.suppression TO atum_exporter;

COMMIT;
