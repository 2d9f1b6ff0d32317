-- Called by telemetry/store.rs, once for each batch of the crash journal. Appends; locks only the rows that
-- it inserts.
INSERT INTO forge_crashes (node_id, path, kind, cause, message, backtrace, restarts, occurrences, at)
SELECT $1, batch.*
FROM UNNEST(
    $2::text[], $3::text[], $4::text[], $5::text[], $6::text[], $7::int4[], $8::int4[], $9::timestamptz[]
) AS batch
