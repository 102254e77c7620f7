-- One row that is overwritten to find out whether the disk has room for a batch of OTPs.
CREATE TABLE disk_probes (
    id {bigint} NOT NULL PRIMARY KEY,
    filler {bytea} NOT NULL
) {strict};

-- down:
DROP TABLE disk_probes;
