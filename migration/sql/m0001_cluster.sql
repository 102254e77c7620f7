-- The nodes of the cluster, and the feed of changes that every running node follows.

-- longest_call_ms: how long after the end of the node's lease one of its calls may still be up.
-- is_locked: whether the running node holds its name by a lock that ends with its database session.
-- taken_until_ms: until when another node is settling the deliveries that this node left behind.
CREATE TABLE nodes (
    name text NOT NULL PRIMARY KEY,
    epoch {bigint} NOT NULL,
    lease_until_ms {bigint} NOT NULL,
    longest_call_ms {bigint} NOT NULL DEFAULT 90000,
    is_locked {boolean} NOT NULL DEFAULT false,
    taken_until_ms {bigint} NOT NULL DEFAULT 0
) {strict};

CREATE TABLE changes (
    seq {identity},
    kind text NOT NULL,
    subject {uuid} NOT NULL,
    at_ms {bigint} NOT NULL
) {strict};

-- down:
DROP TABLE changes;
DROP TABLE nodes;
