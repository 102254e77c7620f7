//! Referrals, what they earn, and the monthly payouts.

use sea_orm_migration::prelude::*;
use sea_orm_migration::sea_orm::{ConnectionTrait, DatabaseBackend};

use crate::dialect;

/// - An account has a code for good, and may have been brought by somebody's. `person` is whose address it is:
///   two addresses of one mailbox are one person's.
/// - A referral belongs to the account that was brought, so that only this account's wallet actor writes to it
///   when an OTP is delivered: a referrer of thousands is no hot row.
/// - `pending_micros` is the sum of its entries in the bucket `pending`, kept beside them so that nobody has to
///   add up millions. An entry of the bucket `paid` stands against those of its payout.
const SCHEMA: &str = "
ALTER TABLE accounts ADD COLUMN person text;

ALTER TABLE accounts ADD COLUMN referral_code text;

ALTER TABLE accounts ADD COLUMN referred_by_code text;

CREATE TABLE referrals (
    referred_id {uuid} NOT NULL PRIMARY KEY REFERENCES accounts (id),
    referrer_id {uuid} NOT NULL REFERENCES accounts (id),
    person text NOT NULL UNIQUE,
    created_at_ms {int} NOT NULL,
    accrued_micros {int} NOT NULL CHECK (accrued_micros >= 0),
    pending_micros {int} NOT NULL CHECK (pending_micros >= 0),
    ended_at_ms {int},
    ended_by text CHECK (ended_by IN ('revocation', 'closing')),
    ended_for text,
    CHECK (referred_id <> referrer_id),
    CHECK ((ended_at_ms IS NULL) = (ended_by IS NULL))
) {table by key};

CREATE INDEX referrals_by_referrer ON referrals (referrer_id, created_at_ms, referred_id);

CREATE TABLE commission_entries (
    id {sequence},
    account_id {uuid} NOT NULL,
    referred_id {uuid},
    posting_id {uuid} NOT NULL,
    delivery_id {uuid},
    payout_id {uuid},
    kind text NOT NULL CHECK (kind IN ('commission', 'revocation', 'payout')),
    bucket text NOT NULL CHECK (bucket IN ('pending', 'paid')),
    amount_micros {int} NOT NULL CHECK (amount_micros <> 0),
    note text,
    created_at_ms {int} NOT NULL,
    CHECK ((bucket = 'pending') = (referred_id IS NOT NULL)),
    CHECK (kind <> 'commission' OR (delivery_id IS NOT NULL AND bucket = 'pending'
        AND amount_micros > 0)),
    CHECK (kind <> 'revocation' OR (bucket = 'pending' AND amount_micros < 0)),
    CHECK (kind <> 'payout' OR (payout_id IS NOT NULL
        AND (bucket = 'pending') = (amount_micros < 0))),
    UNIQUE (delivery_id, kind)
) {table};

CREATE INDEX commission_entries_by_account
    ON commission_entries (account_id, created_at_ms, referred_id, kind, amount_micros);

CREATE TABLE payout_wallets (
    account_id {uuid} NOT NULL PRIMARY KEY REFERENCES accounts (id),
    kind text NOT NULL CHECK (kind IN ('bank', 'usdt', 'balance')),
    address text NOT NULL,
    set_at_ms {int} NOT NULL
) {table by key};

CREATE TABLE payouts (
    id {uuid} NOT NULL PRIMARY KEY,
    account_id {uuid} NOT NULL REFERENCES accounts (id),
    month text NOT NULL CHECK (length(month) = 7),
    amount_micros {int} NOT NULL CHECK (amount_micros > 0),
    wallet_kind text NOT NULL,
    wallet_address text NOT NULL,
    created_at_ms {int} NOT NULL,
    sent_at_ms {int},
    sent_reference text,
    UNIQUE (account_id, month),
    CHECK ((sent_at_ms IS NULL) = (sent_reference IS NULL))
) {table by key};

CREATE INDEX payouts_by_month ON payouts (month, account_id);
";

/// Whose address it is, for the accounts that are there: as the program works it out for new ones.
const PERSONS: [(&str, &str); 2] = [
    (
        "UPDATE accounts SET person = CASE WHEN instr(email, '+') BETWEEN 2 AND instr(email, '@') \
         THEN substr(email, 1, instr(email, '+') - 1) || substr(email, instr(email, '@')) \
         ELSE email END",
        "UPDATE accounts SET person = replace(substr(person, 1, instr(person, '@') - 1), '.', '') \
         || '@gmail.com' WHERE person LIKE '%@gmail.com' OR person LIKE '%@googlemail.com'",
    ),
    (
        "UPDATE accounts SET person = CASE WHEN strpos(email, '+') BETWEEN 2 AND strpos(email, '@') \
         THEN split_part(email, '+', 1) || substr(email, strpos(email, '@')) ELSE email END",
        "UPDATE accounts SET person = replace(split_part(person, '@', 1), '.', '') \
         || '@gmail.com' WHERE person LIKE '%@gmail.com' OR person LIKE '%@googlemail.com'",
    ),
];

/// The newcomer's referral, out of the code that comes with the account's own row: on a person's first sign-up
/// only, by somebody else whose account is open. Everything else is silently no referral.
const REFER: &str = "INSERT INTO referrals \
    (referred_id, referrer_id, person, created_at_ms, accrued_micros, pending_micros) \
    SELECT NEW.id, a.id, NEW.person, NEW.created_at_ms, 0, 0 FROM accounts AS a \
    WHERE a.referral_code = NEW.referred_by_code AND a.id <> NEW.id AND a.closed_at_ms IS NULL \
    AND NEW.person IS NOT NULL AND NOT EXISTS (SELECT 1 FROM accounts AS o \
    WHERE o.person = NEW.person AND o.id <> NEW.id) \
    ON CONFLICT DO NOTHING";

const INDEXES: &str = "
CREATE UNIQUE INDEX accounts_by_referral_code ON accounts (referral_code);

CREATE INDEX accounts_by_person ON accounts (person);
";

/// Twelve hexadecimal digits, by the database itself: whoever opens an account, it has a code.
const ON_SQLITE: &str = "
UPDATE accounts SET referral_code = lower(hex(randomblob(6)));

CREATE TRIGGER accounts_refer AFTER INSERT ON accounts BEGIN
    UPDATE accounts SET referral_code = lower(hex(randomblob(6)))
        WHERE id = NEW.id AND referral_code IS NULL;
    {refer};
END;
";

const ON_POSTGRES: &str = "
ALTER TABLE accounts ALTER COLUMN referral_code
    SET DEFAULT left(replace(gen_random_uuid()::text, '-', ''), 12);

UPDATE accounts SET referral_code = left(replace(gen_random_uuid()::text, '-', ''), 12);

ALTER TABLE accounts ALTER COLUMN referral_code SET NOT NULL;

CREATE FUNCTION accounts_refer() RETURNS trigger LANGUAGE plpgsql AS
    $$ BEGIN {refer}; RETURN NULL; END $$;

CREATE TRIGGER accounts_refer AFTER INSERT ON accounts
    FOR EACH ROW EXECUTE FUNCTION accounts_refer();
";

#[derive(DeriveMigrationName)]
pub struct Migration;

#[async_trait::async_trait]
impl MigrationTrait for Migration {
    async fn up(&self, manager: &SchemaManager) -> Result<(), DbErr> {
        dialect::run(manager, SCHEMA).await?;
        let (persons, triggers) = match manager.get_connection().get_database_backend() {
            DatabaseBackend::Sqlite => (PERSONS[0], ON_SQLITE),
            _ => (PERSONS[1], ON_POSTGRES),
        };
        dialect::run(manager, persons.0).await?;
        dialect::run(manager, persons.1).await?;
        dialect::run(manager, &triggers.replace("{refer}", REFER)).await?;
        dialect::run(manager, INDEXES).await?;
        dialect::make_append_only(manager, "commission_entries").await
    }

    async fn down(&self, manager: &SchemaManager) -> Result<(), DbErr> {
        let connection = manager.get_connection();
        match connection.get_database_backend() {
            DatabaseBackend::Sqlite => dialect::run(manager, "DROP TRIGGER accounts_refer").await?,
            _ => {
                let gone =
                    "DROP TRIGGER accounts_refer ON accounts; DROP FUNCTION accounts_refer()";
                dialect::run(manager, gone).await?;
            }
        }
        let tables = [
            "payouts",
            "payout_wallets",
            "commission_entries",
            "referrals",
        ];
        dialect::drop_tables(manager, &tables).await?;
        dialect::forget_append_only(manager, "commission_entries").await?;
        dialect::run(manager, "DROP INDEX accounts_by_referral_code").await?;
        dialect::run(manager, "DROP INDEX accounts_by_person").await?;
        for column in ["referred_by_code", "referral_code", "person"] {
            let sql = format!("ALTER TABLE accounts DROP COLUMN {column}");
            dialect::run(manager, &sql).await?;
        }
        Ok(())
    }
}
