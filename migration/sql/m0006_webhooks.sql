-- Webhook endpoints and the outbox of their attempts.

-- old_secret_hash: the hash of the previous secret, which also signs until old_secret_until_ms.
CREATE TABLE webhook_endpoints (
    id {uuid} NOT NULL PRIMARY KEY,
    account_id {uuid} NOT NULL REFERENCES accounts (id),
    url text NOT NULL,
    secret_hash text NOT NULL,
    created_at_ms {bigint} NOT NULL,
    paused_at_ms {bigint},
    removed_at_ms {bigint},
    resumed_at_ms {bigint},
    old_secret_hash text,
    old_secret_until_ms {bigint}
) {strict};

CREATE INDEX webhook_endpoints_by_account ON webhook_endpoints (account_id, created_at_ms);

-- traceparent: the W3C trace context of the delivery, which the request to the endpoint continues.
CREATE TABLE webhook_attempts (
    id {uuid} NOT NULL PRIMARY KEY,
    endpoint_id {uuid} NOT NULL,
    account_id {uuid} NOT NULL,
    delivery_id {uuid} NOT NULL,
    event_type text NOT NULL,
    body text NOT NULL,
    status text NOT NULL
        CHECK (status IN ('pending', 'sending', 'delivered', 'failed', 'unknown')),
    replay_of {uuid},
    node text,
    created_at_ms {bigint} NOT NULL,
    started_at_ms {bigint},
    finished_at_ms {bigint},
    status_code {smallint},
    duration_ms {bigint},
    response_head text,
    error text,
    traceparent text
) {strict without rowid};

CREATE INDEX webhook_attempts_open ON webhook_attempts (status, endpoint_id, created_at_ms, id)
    WHERE status IN ('pending', 'sending');

CREATE INDEX webhook_attempts_by_delivery ON webhook_attempts (delivery_id, created_at_ms);

-- The attempts of an endpoint are inserted in order of time, so for each endpoint the index grows at its end.
CREATE INDEX webhook_attempts_by_endpoint ON webhook_attempts (endpoint_id, created_at_ms, id);

-- down:
DROP TABLE webhook_attempts;
DROP TABLE webhook_endpoints;
