-- What the customer attached to an OTP: its own id, and a JSON object of strings.
ALTER TABLE deliveries ADD COLUMN reference text;
ALTER TABLE deliveries ADD COLUMN metadata text;

-- A list by reference. OTPs without one cost nothing here.
CREATE INDEX deliveries_by_reference ON deliveries (account_id, reference, created_at_ms DESC, id)
    WHERE reference IS NOT NULL;

-- down:
DROP INDEX deliveries_by_reference;
ALTER TABLE deliveries DROP COLUMN metadata;
ALTER TABLE deliveries DROP COLUMN reference;
