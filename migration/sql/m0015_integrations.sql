-- Integrations: auth servers that send their codes to us with their own hook.

-- secret_form: what secret is. sha256: the hash of a secret that each request presents. sealed: the key of signatures,
-- encrypted under the installation secret. plain: the same of an installation without one. Signatures cannot be
-- verified with a hash. A removed integration has no secret.
CREATE TABLE integrations (
    id {uuid} NOT NULL PRIMARY KEY,
    account_id {uuid} NOT NULL REFERENCES accounts (id),
    kind text NOT NULL,
    name text NOT NULL,
    secret_form text NOT NULL CHECK (secret_form IN ('sha256', 'sealed', 'plain')),
    secret {bytea},
    phone_pointer text,
    code_pointer text,
    created_at_ms {bigint} NOT NULL,
    last_used_at_ms {bigint},
    removed_at_ms {bigint},
    CHECK ((removed_at_ms IS NULL) = (secret IS NOT NULL)),
    CHECK ((phone_pointer IS NULL) = (code_pointer IS NULL))
) {strict};

CREATE INDEX integrations_by_account ON integrations (account_id, created_at_ms);

-- When the window of the phone ends, by the windows' clock, for an answer that lives as long as the window. Null for
-- one that lives for a day.
ALTER TABLE idempotency ADD COLUMN window_until_ms {bigint};

CREATE INDEX idempotency_by_window ON idempotency (window_until_ms) WHERE window_until_ms IS NOT NULL;

-- down:
DROP INDEX idempotency_by_window;
DELETE FROM idempotency WHERE window_until_ms IS NOT NULL;
ALTER TABLE idempotency DROP COLUMN window_until_ms;
DROP TABLE integrations;
