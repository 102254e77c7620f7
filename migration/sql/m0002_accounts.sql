-- Accounts, their API keys with allowlists, sessions, password resets and pending sign-ups.

-- totp_sealed: the TOTP secret, encrypted under a key derived from the account's password. The server needs the
-- secret to check a code, so a hash does not suffice; the database alone does not reveal it.
-- recovery_hash: SHA-256 of the recovery code.
-- person: the mailbox behind the e-mail address. Two addresses of one mailbox have the same person.
-- referral_code: twelve hexadecimal digits. The database generates them, on SQLite in the trigger accounts_refer.
CREATE TABLE accounts (
    id {uuid} NOT NULL PRIMARY KEY,
    email text NOT NULL UNIQUE CHECK (email = lower(email) AND email <> ''),
    password_hash text,
    operator {boolean} NOT NULL,
    language text CHECK (language IN ('vi', 'en')),
    created_at_ms {bigint} NOT NULL,
    closed_at_ms {bigint},
    page_language text CHECK (page_language IN ('vi', 'en')),
    totp_sealed {bytea},
    totp_last_step {bigint},
    recovery_hash {bytea},
    suspended_at_ms {bigint},
    suspended_for text,
    person text,
-- sqlite:
    referral_code text,
-- postgres:
    referral_code text NOT NULL DEFAULT left(replace(gen_random_uuid()::text, '-', ''), 12),
-- both:
    referred_by_code text
) {strict};

CREATE UNIQUE INDEX accounts_by_referral_code ON accounts (referral_code);

CREATE INDEX accounts_by_person ON accounts (person);

CREATE TABLE api_keys (
    id {uuid} NOT NULL PRIMARY KEY,
    account_id {uuid} NOT NULL REFERENCES accounts (id),
    name text NOT NULL,
    hash {bytea} NOT NULL UNIQUE CHECK (length(hash) = 32),
    hint text NOT NULL,
    test {boolean} NOT NULL,
    created_at_ms {bigint} NOT NULL,
    last_used_at_ms {bigint},
    revoked_at_ms {bigint}
) {strict};

CREATE INDEX api_keys_by_account ON api_keys (account_id, created_at_ms);

CREATE TABLE key_allowlist (
    key_id {uuid} NOT NULL REFERENCES api_keys (id),
    position {smallint} NOT NULL CHECK (position BETWEEN 0 AND 49),
    cidr text NOT NULL,
    PRIMARY KEY (key_id, position)
) {strict without rowid};

-- Here and below, token_hash is the token's SHA-256. The token itself is not stored, so a copy of the database
-- does not allow anyone to sign in.
CREATE TABLE sessions (
    token_hash {bytea} NOT NULL PRIMARY KEY CHECK (length(token_hash) = 32),
    id {uuid} NOT NULL UNIQUE,
    account_id {uuid} NOT NULL REFERENCES accounts (id),
    address text NOT NULL,
    browser text NOT NULL,
    created_at_ms {bigint} NOT NULL,
    seen_at_ms {bigint} NOT NULL,
    expires_at_ms {bigint} NOT NULL
) {strict without rowid};

CREATE INDEX sessions_by_account ON sessions (account_id, created_at_ms);

CREATE INDEX sessions_by_expiry ON sessions (expires_at_ms);

CREATE TABLE password_resets (
    token_hash {bytea} NOT NULL PRIMARY KEY CHECK (length(token_hash) = 32),
    account_id {uuid} NOT NULL REFERENCES accounts (id),
    created_at_ms {bigint} NOT NULL,
    expires_at_ms {bigint} NOT NULL
) {strict without rowid};

CREATE INDEX password_resets_by_account ON password_resets (account_id);

CREATE INDEX password_resets_by_expiry ON password_resets (expires_at_ms);

-- The form as submitted, until the link in the confirmation e-mail is followed.
CREATE TABLE pending_sign_ups (
    token_hash {bytea} NOT NULL PRIMARY KEY CHECK (length(token_hash) = 32),
    email text NOT NULL,
    password_hash text NOT NULL,
    page_language text NOT NULL CHECK (page_language IN ('vi', 'en')),
    landing_code text,
    signed_in_as {uuid},
    created_at_ms {bigint} NOT NULL,
    expires_at_ms {bigint} NOT NULL
) {strict without rowid};

CREATE INDEX pending_sign_ups_by_expiry ON pending_sign_ups (expires_at_ms);

-- down:
DROP TABLE pending_sign_ups;
DROP TABLE password_resets;
DROP TABLE sessions;
DROP TABLE key_allowlist;
DROP TABLE api_keys;
DROP TABLE accounts;
