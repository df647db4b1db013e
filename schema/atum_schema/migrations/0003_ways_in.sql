-- Who may hand over mail by HTTP, and what became of jobs that came through the broker.

-- A client of the API. Its name is that of its mails in the log, and the scope of its idempotency keys.
CREATE TABLE atum.api_client (
    name       text        PRIMARY KEY,
    scopes     text[]      NOT NULL,
    domains    text[]      NOT NULL DEFAULT '{}',  -- From domains it may use, lower case; empty: all
    rate       float8,                             -- mails, or other requests, per second and API process; NULL: no limit
    created_at timestamptz NOT NULL DEFAULT clock_timestamp(),
    revoked_at timestamptz,
    CONSTRAINT api_client_scopes_known CHECK (scopes <@ ARRAY['send', 'read', 'manage'] AND cardinality(scopes) > 0),
    CONSTRAINT api_client_rate_positive CHECK (rate > 0)
);

-- Its keys. Only a digest is kept: the secret has 256 random bits, so a slow hash would add nothing but load.
CREATE TABLE atum.api_key (
    id         text        PRIMARY KEY,  -- the public half of the key, by which it is found
    client     text        NOT NULL REFERENCES atum.api_client,
    digest     bytea       NOT NULL,     -- SHA-256 of the secret half
    created_at timestamptz NOT NULL DEFAULT clock_timestamp(),
    expires_at timestamptz,              -- set by a rotation: the old key ends after a time of grace
    revoked_at timestamptz,
    CONSTRAINT api_key_digest_size CHECK (octet_length(digest) = 32)
);
CREATE INDEX api_key_client ON atum.api_key (client);

-- Counters that outlive processes: never pruned, moved in the transaction of what they count.
CREATE TABLE atum.tally (
    name   text   NOT NULL,
    reason text   NOT NULL DEFAULT '',
    number bigint NOT NULL DEFAULT 0,
    PRIMARY KEY (name, reason)
) WITH (fillfactor = 50);

-- A client's mails, newest first. No update of a delivery touches its columns.
CREATE INDEX mail_client ON atum.mail (client, id);
