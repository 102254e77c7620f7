-- The operators' append-only audit log, drained gateways, reviews of suspicious bursts, and ported numbers.

-- operator: the operator's e-mail address at that time, or `command line`.
-- account_id: the account that the action concerns, if it concerns one.
CREATE TABLE operator_actions (
    id {identity},
    at_ms {bigint} NOT NULL,
    operator_id {uuid},
    operator text NOT NULL CHECK (operator <> ''),
    action text NOT NULL CHECK (action <> ''),
    account_id {uuid},
    subject text,
    detail text
) {strict};

CREATE INDEX operator_actions_by_account ON operator_actions (account_id, id)
    WHERE account_id IS NOT NULL;

-- sqlite:
CREATE TRIGGER operator_actions_refuse_UPDATE BEFORE UPDATE ON operator_actions
    BEGIN SELECT RAISE(ABORT, 'operator_actions is append-only'); END;
CREATE TRIGGER operator_actions_refuse_DELETE BEFORE DELETE ON operator_actions
    BEGIN SELECT RAISE(ABORT, 'operator_actions is append-only'); END;
-- postgres:
CREATE FUNCTION operator_actions_refuse() RETURNS trigger LANGUAGE plpgsql AS
    $$ BEGIN RAISE EXCEPTION 'operator_actions is append-only'; END $$;
CREATE TRIGGER operator_actions_refuse BEFORE UPDATE OR DELETE OR TRUNCATE ON operator_actions
    FOR EACH STATEMENT EXECUTE FUNCTION operator_actions_refuse();
-- both:

CREATE TABLE drained_gateways (
    carrier text NOT NULL,
    gateway text NOT NULL,
    at_ms {bigint} NOT NULL,
    PRIMARY KEY (carrier, gateway)
) {strict without rowid};

-- usual_milli: what the key usually sends, in thousandths of an OTP per window.
CREATE TABLE key_paces (
    key_id {uuid} NOT NULL PRIMARY KEY,
    usual_milli {bigint} NOT NULL,
    seen_at_ms {bigint} NOT NULL
) {strict without rowid};

CREATE INDEX key_paces_by_age ON key_paces (seen_at_ms);

-- The windows of time that were checked for bursts, so that one node checks each.
CREATE TABLE review_windows (
    start_ms {bigint} NOT NULL PRIMARY KEY
) {strict};

CREATE TABLE reviews (
    id {uuid} NOT NULL PRIMARY KEY,
    key_id {uuid} NOT NULL,
    account_id {uuid} NOT NULL,
    suspicion text NOT NULL,
    detail text NOT NULL,
    windows {bigint} NOT NULL,
    opened_at_ms {bigint} NOT NULL,
    seen_at_ms {bigint} NOT NULL,
    closed_at_ms {bigint},
    closed_by text,
    note text
) {strict without rowid};

CREATE UNIQUE INDEX reviews_open ON reviews (key_id, suspicion) WHERE closed_at_ms IS NULL;

CREATE INDEX reviews_by_age ON reviews (opened_at_ms, id);

-- Sets of ported numbers, of which one is in force.
CREATE TABLE port_sets (
    id {uuid} NOT NULL PRIMARY KEY,
    row_count {bigint} NOT NULL,
    carriers text NOT NULL,
    imported_at_ms {bigint} NOT NULL,
    in_force {boolean} NOT NULL
) {strict without rowid};

-- The numbers of a set, packed: no query reads a single one, and every start reads a set of millions.
CREATE TABLE port_pieces (
    set_id {uuid} NOT NULL,
    place {bigint} NOT NULL,
    packed {bytea} NOT NULL,
    PRIMARY KEY (set_id, place)
) {strict};

-- down:
DROP TABLE port_pieces;
DROP TABLE port_sets;
DROP TABLE reviews;
DROP TABLE review_windows;
DROP TABLE key_paces;
DROP TABLE drained_gateways;
DROP TABLE operator_actions;
-- postgres:
DROP FUNCTION operator_actions_refuse();
