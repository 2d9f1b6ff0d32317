-- Called by job/store/unblock.rs before it locks keys: $1 keys. Returns those that block jobs. Index
-- forge_jobs_blocked, which ORDER BY makes the planner use; no lock.
SELECT key
FROM UNNEST($1::text[]) AS wanted (key)
WHERE key = (SELECT blocked_by FROM forge_jobs WHERE blocked_by >= key ORDER BY blocked_by LIMIT 1)
