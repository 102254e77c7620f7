-- Deliveries, their call attempts, phone windows, idempotency keys, search filters and daily statistics.

CREATE TABLE deliveries (
    id {uuid} NOT NULL PRIMARY KEY,
    account_id {uuid} NOT NULL,
    key_id {uuid} NOT NULL,
    test {boolean} NOT NULL,
    phone text NOT NULL,
    carrier text NOT NULL,
    status text NOT NULL CHECK (status IN ('sent', 'delivered', 'failed')),
    cost_micros {bigint} NOT NULL CHECK (cost_micros >= 0),
    error_code text,
    carrier_status text,
    node text NOT NULL,
    epoch {bigint} NOT NULL,
    created_at_ms {bigint} NOT NULL,
    completed_at_ms {bigint},
    CHECK ((status = 'sent') = (completed_at_ms IS NULL))
) {strict without rowid};

-- The indexes for listing an account's deliveries, measured on SQLite with one account, a million deliveries and
-- commits of 32 OTPs:
--
-- deliveries_by_account contains phone and carrier, which has no measurable cost. A search by phone or carrier
-- scans this index alone (a quarter of a second for the million if there is no match) and reads only the rows
-- that match. An index by phone halves the commits per second: phones have no order, so each OTP writes a page
-- of its own.
--
-- deliveries_ended makes listing by status skip what has another status. A delivery changes its status once, when
-- it ends, so this index costs nothing when an OTP is accepted and 3 % when it ends.
--
-- Few deliveries are `sent` at a time; deliveries_sent covers those.
CREATE INDEX deliveries_by_account
    ON deliveries (account_id, created_at_ms DESC, id, phone, carrier);

CREATE INDEX deliveries_ended
    ON deliveries (account_id, status, created_at_ms DESC, id, phone, carrier)
    WHERE status <> 'sent';

CREATE INDEX deliveries_sent ON deliveries (node, created_at_ms) WHERE status = 'sent';

-- The columns on audio quality are NULL if the far end reported nothing: loss in millionths, times in
-- microseconds, the mean opinion score in hundredths.
-- steps: readings and pressed keys, with the milliseconds since the attempt began: `read:15230,key:16001`.
CREATE TABLE call_attempts (
    id {uuid} NOT NULL PRIMARY KEY,
    delivery_id {uuid} NOT NULL,
    number {smallint} NOT NULL,
    gateway text NOT NULL,
    call_id text NOT NULL,
    started_at_ms {bigint} NOT NULL,
    accepted_at_ms {bigint},
    ringing_at_ms {bigint},
    answered_at_ms {bigint},
    ended_at_ms {bigint} NOT NULL,
    sip_code {smallint},
    end_reason text NOT NULL,
    codec text,
    packets_sent {bigint} NOT NULL,
    packets_received {bigint},
    loss_ppm {bigint},
    jitter_us {bigint},
    round_trip_us {bigint},
    mos_hundredths {bigint},
    steps text,
    UNIQUE (delivery_id, number)
) {strict without rowid};

CREATE TABLE phone_windows (
    realm text NOT NULL CHECK (realm IN ('live', 'test')),
    phone text NOT NULL,
    since_ms {bigint} NOT NULL,
    until_ms {bigint} NOT NULL,
    delivery_id {uuid} NOT NULL,
    PRIMARY KEY (realm, phone)
) {strict without rowid};

-- answered: false from the debit until the carrier has accepted the call.
CREATE TABLE idempotency (
    key_id {uuid} NOT NULL,
    idempotency_key text NOT NULL,
    fingerprint {bytea} NOT NULL CHECK (length(fingerprint) = 32),
    delivery_id {uuid},
    status_code {smallint} NOT NULL,
    answer text NOT NULL,
    answered {boolean} NOT NULL,
    created_at_ms {bigint} NOT NULL,
    PRIMARY KEY (key_id, idempotency_key),
    CHECK (answered OR delivery_id IS NOT NULL)
) {strict without rowid};

CREATE INDEX idempotency_by_age ON idempotency (created_at_ms);

-- Two Bloom filters for each range of some thousand deliveries, of phones and of carriers per account. A search
-- skips the ranges that cannot match. They replace an index by phone (see deliveries_by_account) and are built
-- outside the hot path. When phones are masked, the filter of phones is emptied.
CREATE TABLE delivery_filters (
    until_id {uuid} NOT NULL PRIMARY KEY,
    first_ms {bigint} NOT NULL,
    last_ms {bigint} NOT NULL,
    phones {bytea} NOT NULL,
    carriers {bytea} NOT NULL
) {strict};

-- One row: the last delivery that has filters.
CREATE TABLE delivery_filters_until (
    id {bigint} NOT NULL PRIMARY KEY CHECK (id = 1),
    until_id {uuid}
) {strict without rowid};

INSERT INTO delivery_filters_until (id, until_id) VALUES (1, NULL);

-- Totals per day, so that a chart of a month does not read a month of deliveries. They are computed after
-- settlement and outside of it, at no cost for the hot path.
-- day: days since 1970-01-01, UTC.
CREATE TABLE daily_figures (
    account_id {uuid} NOT NULL,
    day {bigint} NOT NULL,
    carrier text NOT NULL,
    delivered {bigint} NOT NULL,
    failed {bigint} NOT NULL,
    PRIMARY KEY (account_id, day, carrier)
) {strict without rowid};

CREATE TABLE answer_times (
    account_id {uuid} NOT NULL,
    day {bigint} NOT NULL,
    seconds {bigint} NOT NULL,
    calls {bigint} NOT NULL,
    PRIMARY KEY (account_id, day, seconds)
) {strict without rowid};

-- One row: the time up to which deliveries are in the totals. All older ones have ended and never change.
CREATE TABLE figures_until (
    id {bigint} NOT NULL PRIMARY KEY CHECK (id = 1),
    until_ms {bigint} NOT NULL
) {strict without rowid};

INSERT INTO figures_until (id, until_ms) VALUES (1, 0);

-- down:
DROP TABLE figures_until;
DROP TABLE answer_times;
DROP TABLE daily_figures;
DROP TABLE delivery_filters_until;
DROP TABLE delivery_filters;
DROP TABLE idempotency;
DROP TABLE phone_windows;
DROP TABLE call_attempts;
DROP TABLE deliveries;
