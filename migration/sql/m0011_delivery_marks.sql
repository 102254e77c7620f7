-- Whether the built-in sandbox answered, so that no phone rang; and whether the settlement refunded the price.
ALTER TABLE deliveries ADD COLUMN sandbox {boolean} NOT NULL DEFAULT FALSE;
ALTER TABLE deliveries ADD COLUMN refunded {boolean} NOT NULL DEFAULT FALSE;

UPDATE deliveries SET sandbox = TRUE
    WHERE test OR id IN (SELECT delivery_id FROM call_attempts WHERE gateway = 'sandbox');
UPDATE deliveries SET refunded = TRUE
    WHERE id IN (SELECT delivery_id FROM ledger_entries WHERE kind = 'refund');

-- down:
ALTER TABLE deliveries DROP COLUMN refunded;
ALTER TABLE deliveries DROP COLUMN sandbox;
