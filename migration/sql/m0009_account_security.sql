-- Confirmed changes of an e-mail address, and the review of an account's access after a password reset.

-- When the password was last reset by an e-mailed link, until the owner has reviewed the API keys and webhook
-- endpoints that still work.
ALTER TABLE accounts ADD COLUMN access_review_since_ms {bigint};

-- A change waits until the link in the e-mail to the new address is followed. token_hash is the token's SHA-256. An
-- account has at most one such change.
CREATE TABLE email_changes (
    token_hash {bytea} NOT NULL PRIMARY KEY CHECK (length(token_hash) = 32),
    account_id {uuid} NOT NULL UNIQUE REFERENCES accounts (id),
    email text NOT NULL CHECK (email = lower(email) AND email <> ''),
    created_at_ms {bigint} NOT NULL,
    expires_at_ms {bigint} NOT NULL
) {strict without rowid};

CREATE INDEX email_changes_by_expiry ON email_changes (expires_at_ms);

-- down:
DROP TABLE email_changes;
ALTER TABLE accounts DROP COLUMN access_review_since_ms;
