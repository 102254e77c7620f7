-- Quotas of free actions, grants of free credit, and what finding old test records needs.

-- used: how often `subject` did `kind` on this UTC day (days since 1970-01-01).
-- subject: an account's id, a client network, both, the SHA-256 of a mailbox, or `all`.
CREATE TABLE quota_uses (
    day {bigint} NOT NULL,
    kind text NOT NULL,
    subject text NOT NULL,
    used {bigint} NOT NULL CHECK (used >= 0),
    PRIMARY KEY (day, kind, subject)
) {strict without rowid};

-- An account's own limits, set by an operator. 0: unlimited.
CREATE TABLE account_quotas (
    account_id {uuid} NOT NULL REFERENCES accounts (id),
    kind text NOT NULL,
    per_day {bigint} NOT NULL CHECK (per_day >= 0),
    PRIMARY KEY (account_id, kind)
) {strict without rowid};

-- One row for each mailbox that received the free credit of a new account. A row is never deleted, so that closing an
-- account, or changing its address, does not make its mailbox eligible again.
CREATE TABLE free_credits (
    person text NOT NULL PRIMARY KEY,
    account_id {uuid} NOT NULL,
    granted_at_ms {bigint} NOT NULL
) {strict without rowid};

INSERT INTO free_credits (person, account_id, granted_at_ms)
    SELECT COALESCE(a.person, a.email), a.id, e.created_at_ms
    FROM accounts AS a JOIN ledger_entries AS e ON e.account_id = a.id
    WHERE e.kind = 'grant' AND e.bucket = 'free' AND e.reference = 'signup'
    ORDER BY e.id
    ON CONFLICT DO NOTHING;

-- The partial indexes cover test records only, so a live OTP writes to neither of them.
CREATE INDEX deliveries_of_test_keys ON deliveries (created_at_ms) WHERE test;

CREATE INDEX webhook_attempts_of_test_events ON webhook_attempts (created_at_ms)
    WHERE event_type = 'webhook.test';

-- down:
DROP INDEX webhook_attempts_of_test_events;
DROP INDEX deliveries_of_test_keys;
DROP TABLE free_credits;
DROP TABLE account_quotas;
DROP TABLE quota_uses;
