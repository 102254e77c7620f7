-- Verify: codes that the gateway makes and checks, and the secret of the installation that they are computed with.

-- One row: a value that depends on the secret and does not reveal it. A node with another secret does not start.
CREATE TABLE installation_secret (
    id {smallint} NOT NULL PRIMARY KEY CHECK (id = 1),
    check_value {bytea} NOT NULL CHECK (length(check_value) = 32)
) {strict without rowid};

-- status: one that is pending after expires_at_ms has expired, also before a job marks it.
-- attempts: the wrong codes so far. sends: the calls that read the code; last_delivery_id is the last of them.
-- language: the one that the request asked for. replaced_by: the verification that canceled this one.
CREATE TABLE verifications (
    id {uuid} NOT NULL PRIMARY KEY,
    account_id {uuid} NOT NULL,
    test {boolean} NOT NULL,
    phone text NOT NULL,
    code_length {smallint} NOT NULL CHECK (code_length BETWEEN 4 AND 8),
    language text,
    status text NOT NULL CHECK (status IN ('pending', 'approved', 'failed', 'expired', 'canceled')),
    attempts {smallint} NOT NULL CHECK (attempts BETWEEN 0 AND 5),
    sends {smallint} NOT NULL CHECK (sends BETWEEN 1 AND 5),
    last_delivery_id {uuid} NOT NULL,
    created_at_ms {bigint} NOT NULL,
    expires_at_ms {bigint} NOT NULL,
    closed_at_ms {bigint},
    replaced_by {uuid},
    reference text,
    metadata text,
    CHECK ((status = 'pending') = (closed_at_ms IS NULL)),
    CHECK ((status = 'failed') = (attempts = 5)),
    CHECK (replaced_by IS NULL OR status = 'canceled')
) {strict without rowid};

-- Lists, as those of deliveries.
CREATE INDEX verifications_by_account ON verifications (account_id, created_at_ms DESC, id, phone);
CREATE INDEX verifications_closed ON verifications (account_id, status, created_at_ms DESC, id, phone)
    WHERE status <> 'pending';
CREATE INDEX verifications_by_reference ON verifications (account_id, reference, created_at_ms DESC, id)
    WHERE reference IS NOT NULL;

-- A new verification finds the pending one for its phone, and the job finds what has expired. Few are pending at a
-- time, so these stay small.
CREATE INDEX verifications_pending ON verifications (account_id, phone) WHERE status = 'pending';
CREATE INDEX verifications_expiring ON verifications (expires_at_ms) WHERE status = 'pending';
CREATE INDEX verifications_of_test_keys ON verifications (created_at_ms) WHERE test;
CREATE INDEX verifications_replaced ON verifications (replaced_by) WHERE replaced_by IS NOT NULL;

-- verification_id: the verification whose code the call reads. converted: whether the login succeeded, if it is known.
ALTER TABLE deliveries ADD COLUMN verification_id {uuid};
ALTER TABLE deliveries ADD COLUMN converted {boolean};

CREATE INDEX deliveries_by_verification ON deliveries (verification_id, id)
    WHERE verification_id IS NOT NULL;

-- down:
DROP INDEX deliveries_by_verification;
ALTER TABLE deliveries DROP COLUMN converted;
ALTER TABLE deliveries DROP COLUMN verification_id;
DROP TABLE verifications;
DROP TABLE installation_secret;
