-- Called by job/store for the rescuer: $1 batch leases that had run out. Primary key. Skips leases that a
-- statement has locked which finishes their jobs or renews them; the next rescue finds them.
SELECT id FROM forge_job_leases WHERE id = ANY ($1) AND lease_until < now() ORDER BY id FOR UPDATE SKIP LOCKED
