-- Referrals, the append-only commissions that they earn, and the monthly payouts.

-- The referral is a row of the referred account, so only this account's wallet actor writes to it when an OTP is
-- delivered. A row per referrer would be a hot spot for a referrer with thousands of accounts.
-- pending_micros: the sum of the referral's entries in the bucket `pending`, so that reading it adds up nothing.
CREATE TABLE referrals (
    referred_id {uuid} NOT NULL PRIMARY KEY REFERENCES accounts (id),
    referrer_id {uuid} NOT NULL REFERENCES accounts (id),
    person text NOT NULL UNIQUE,
    created_at_ms {bigint} NOT NULL,
    accrued_micros {bigint} NOT NULL CHECK (accrued_micros >= 0),
    pending_micros {bigint} NOT NULL CHECK (pending_micros >= 0),
    ended_at_ms {bigint},
    ended_by text CHECK (ended_by IN ('revocation', 'closing')),
    ended_for text,
    CHECK (referred_id <> referrer_id),
    CHECK ((ended_at_ms IS NULL) = (ended_by IS NULL))
) {strict without rowid};

CREATE INDEX referrals_by_referrer ON referrals (referrer_id, created_at_ms, referred_id);

-- Creates the referral of a new account from the code in its row. It applies only to the first account of a
-- person, and only if the code's owner is another, open account. Otherwise there is no referral and no error.
-- sqlite:
CREATE TRIGGER accounts_refer AFTER INSERT ON accounts BEGIN
    UPDATE accounts SET referral_code = lower(hex(randomblob(6)))
        WHERE id = NEW.id AND referral_code IS NULL;
-- postgres:
CREATE FUNCTION accounts_refer() RETURNS trigger LANGUAGE plpgsql AS $$ BEGIN
-- both:
    INSERT INTO referrals
        (referred_id, referrer_id, person, created_at_ms, accrued_micros, pending_micros)
        SELECT NEW.id, a.id, NEW.person, NEW.created_at_ms, 0, 0 FROM accounts AS a
        WHERE a.referral_code = NEW.referred_by_code AND a.id <> NEW.id AND a.closed_at_ms IS NULL
        AND NEW.person IS NOT NULL
        AND NOT EXISTS (SELECT 1 FROM accounts AS o WHERE o.person = NEW.person AND o.id <> NEW.id)
        ON CONFLICT DO NOTHING;
-- sqlite:
END;
-- postgres:
    RETURN NULL;
END $$;
CREATE TRIGGER accounts_refer AFTER INSERT ON accounts
    FOR EACH ROW EXECUTE FUNCTION accounts_refer();
-- both:

-- A payout's entries in the bucket `paid` balance its entries in the bucket `pending`.
CREATE TABLE commission_entries (
    id {identity},
    account_id {uuid} NOT NULL,
    referred_id {uuid},
    posting_id {uuid} NOT NULL,
    delivery_id {uuid},
    payout_id {uuid},
    kind text NOT NULL CHECK (kind IN ('commission', 'revocation', 'payout')),
    bucket text NOT NULL CHECK (bucket IN ('pending', 'paid')),
    amount_micros {bigint} NOT NULL CHECK (amount_micros <> 0),
    note text,
    created_at_ms {bigint} NOT NULL,
    CHECK ((bucket = 'pending') = (referred_id IS NOT NULL)),
    CHECK (kind <> 'commission' OR (delivery_id IS NOT NULL AND bucket = 'pending'
        AND amount_micros > 0)),
    CHECK (kind <> 'revocation' OR (bucket = 'pending' AND amount_micros < 0)),
    CHECK (kind <> 'payout' OR (payout_id IS NOT NULL
        AND (bucket = 'pending') = (amount_micros < 0))),
    UNIQUE (delivery_id, kind)
) {strict};

CREATE INDEX commission_entries_by_account
    ON commission_entries (account_id, created_at_ms, referred_id, kind, amount_micros);

-- sqlite:
CREATE TRIGGER commission_entries_refuse_UPDATE BEFORE UPDATE ON commission_entries
    BEGIN SELECT RAISE(ABORT, 'commission_entries is append-only'); END;
CREATE TRIGGER commission_entries_refuse_DELETE BEFORE DELETE ON commission_entries
    BEGIN SELECT RAISE(ABORT, 'commission_entries is append-only'); END;
-- postgres:
CREATE FUNCTION commission_entries_refuse() RETURNS trigger LANGUAGE plpgsql AS
    $$ BEGIN RAISE EXCEPTION 'commission_entries is append-only'; END $$;
CREATE TRIGGER commission_entries_refuse BEFORE UPDATE OR DELETE OR TRUNCATE ON commission_entries
    FOR EACH STATEMENT EXECUTE FUNCTION commission_entries_refuse();
-- both:

CREATE TABLE payout_wallets (
    account_id {uuid} NOT NULL PRIMARY KEY REFERENCES accounts (id),
    kind text NOT NULL CHECK (kind IN ('bank', 'usdt', 'balance')),
    address text NOT NULL,
    set_at_ms {bigint} NOT NULL
) {strict without rowid};

CREATE TABLE payouts (
    id {uuid} NOT NULL PRIMARY KEY,
    account_id {uuid} NOT NULL REFERENCES accounts (id),
    month text NOT NULL CHECK (length(month) = 7),
    amount_micros {bigint} NOT NULL CHECK (amount_micros > 0),
    wallet_kind text NOT NULL,
    wallet_address text NOT NULL,
    created_at_ms {bigint} NOT NULL,
    sent_at_ms {bigint},
    sent_reference text,
    UNIQUE (account_id, month),
    CHECK ((sent_at_ms IS NULL) = (sent_reference IS NULL))
) {strict without rowid};

CREATE INDEX payouts_by_month ON payouts (month, account_id);

-- down:
-- sqlite:
DROP TRIGGER accounts_refer;
-- postgres:
DROP TRIGGER accounts_refer ON accounts;
DROP FUNCTION accounts_refer();
-- both:
DROP TABLE payouts;
DROP TABLE payout_wallets;
DROP TABLE commission_entries;
DROP TABLE referrals;
-- postgres:
DROP FUNCTION commission_entries_refuse();
