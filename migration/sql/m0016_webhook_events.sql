-- The events that an endpoint receives, as a list with commas, and when they were last changed.
ALTER TABLE webhook_endpoints ADD COLUMN events text NOT NULL DEFAULT 'otp.*';
ALTER TABLE webhook_endpoints ADD COLUMN events_changed_at_ms {bigint};

-- The verification of an attempt that tells its end. The attempt's delivery is the verification's last call.
ALTER TABLE webhook_attempts ADD COLUMN verification_id {uuid};

-- The attempts of a verification. Those of OTPs cost nothing here.
CREATE INDEX webhook_attempts_by_verification ON webhook_attempts (verification_id, created_at_ms)
    WHERE verification_id IS NOT NULL;

-- down:
DROP INDEX webhook_attempts_by_verification;
ALTER TABLE webhook_attempts DROP COLUMN verification_id;
ALTER TABLE webhook_endpoints DROP COLUMN events_changed_at_ms;
ALTER TABLE webhook_endpoints DROP COLUMN events;
