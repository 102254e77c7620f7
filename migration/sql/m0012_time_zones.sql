-- Days in the time zone of each account.

-- The IANA name of the time zone of its pages. Null selects that of its language or browser.
ALTER TABLE accounts ADD COLUMN time_zone text CHECK (time_zone <> '');

-- Statistics by quarter of an hour since 1970-01-01 UTC: all time zones of today differ from UTC by whole quarters, so
-- a day of any zone is a sum of them. They are computed again from the deliveries of the last 32 days.
CREATE TABLE quarter_figures (
    account_id {uuid} NOT NULL,
    quarter {bigint} NOT NULL,
    carrier text NOT NULL,
    delivered {bigint} NOT NULL,
    failed {bigint} NOT NULL,
    PRIMARY KEY (account_id, quarter, carrier)
) {strict without rowid};

-- To delete old ones.
CREATE INDEX quarter_figures_by_quarter ON quarter_figures (quarter);

DROP TABLE daily_figures;
UPDATE figures_until SET until_ms = until_ms / 86400000 * 86400000 - 32 * CAST(86400000 AS {bigint})
    WHERE until_ms > 32 * CAST(86400000 AS {bigint});
DELETE FROM answer_times WHERE day >= (SELECT until_ms / 86400000 FROM figures_until);

-- down:
DROP TABLE quarter_figures;
CREATE TABLE daily_figures (
    account_id {uuid} NOT NULL,
    day {bigint} NOT NULL,
    carrier text NOT NULL,
    delivered {bigint} NOT NULL,
    failed {bigint} NOT NULL,
    PRIMARY KEY (account_id, day, carrier)
) {strict without rowid};
UPDATE figures_until SET until_ms = until_ms / 86400000 * 86400000 - 32 * CAST(86400000 AS {bigint})
    WHERE until_ms > 32 * CAST(86400000 AS {bigint});
DELETE FROM answer_times WHERE day >= (SELECT until_ms / 86400000 FROM figures_until);
ALTER TABLE accounts DROP COLUMN time_zone;
