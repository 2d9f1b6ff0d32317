-- Called by telemetry/crashes.rs, once for each batch of the ring. Appends; locks nothing but its rows.
INSERT INTO forge_crashes (node_id, path, kind, cause, message, backtrace, restarts, occurrences, at)
SELECT $1, batch.*
FROM UNNEST($2::text[], $3::text[], $4::text[], $5::text[], $6::text[], $7::int4[], $8::int4[], $9::timestamptz[]) AS batch
