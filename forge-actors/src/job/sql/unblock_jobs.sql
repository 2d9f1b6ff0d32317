-- Called by job/store/unblock.rs after sql/lock_limit_keys.sql in the same transaction: $1 keys, $2 how many
-- jobs of each at most, $3 the tenants after which the turns start, or null for the first tenant, $4 names of
-- the handlers that this node can run: the jobs of others are left to other nodes. Index forge_jobs_blocked.
-- Locks the rows of the jobs, and skips rows that are locked, which the next sweep looks at. The tenants of a
-- key take turns; each gives its job with the highest priority, then the oldest. A tenant gives 2 * ceil($2 /
-- tenants) + 8 jobs at most, so that a key with many tenants reads few rows; when most of them have few jobs,
-- fewer than $2 are unblocked, and the next sweep goes on. Returns the jobs in their turns.
WITH RECURSIVE wanted AS (
    SELECT key, count, left(coalesce(after, ''), 200) AS after
    FROM UNNEST($1::text[], $2::int4[], $3::text[]) AS wanted (key, count, after)
), turn AS (
    SELECT wanted.key, wanted.count, 1 AS number, following.tenant, following.tenant AS first
    FROM wanted
    CROSS JOIN LATERAL (
        SELECT coalesce(
            (
                SELECT left(coalesce(identity ->> 'tenant', ''), 200) FROM forge_jobs
                WHERE blocked_by = wanted.key AND left(coalesce(identity ->> 'tenant', ''), 200) > wanted.after
                ORDER BY blocked_by, left(coalesce(identity ->> 'tenant', ''), 200)
                LIMIT 1
            ),
            (
                SELECT left(coalesce(identity ->> 'tenant', ''), 200) FROM forge_jobs
                WHERE blocked_by = wanted.key
                ORDER BY blocked_by, left(coalesce(identity ->> 'tenant', ''), 200)
                LIMIT 1
            )
        ) AS tenant
    ) AS following
    WHERE following.tenant IS NOT NULL
    UNION ALL
    SELECT turn.key, turn.count, turn.number + 1, following.tenant, turn.first
    FROM turn
    CROSS JOIN LATERAL (
        SELECT coalesce(
            (
                SELECT left(coalesce(identity ->> 'tenant', ''), 200) FROM forge_jobs
                WHERE blocked_by = turn.key AND left(coalesce(identity ->> 'tenant', ''), 200) > turn.tenant
                ORDER BY blocked_by, left(coalesce(identity ->> 'tenant', ''), 200)
                LIMIT 1
            ),
            (
                SELECT left(coalesce(identity ->> 'tenant', ''), 200) FROM forge_jobs
                WHERE blocked_by = turn.key
                ORDER BY blocked_by, left(coalesce(identity ->> 'tenant', ''), 200)
                LIMIT 1
            )
        ) AS tenant
    ) AS following
    WHERE turn.number < turn.count AND following.tenant <> turn.first
), share AS (
    SELECT key, count, tenant, number,
           ceil(count::float8 / count(*) OVER (PARTITION BY key))::int8 * 2 + 8 AS jobs_max
    FROM turn
), chosen AS (
    SELECT job.id, share.key, share.count, share.tenant,
           row_number() OVER (PARTITION BY share.key ORDER BY job.place, share.number) AS place
    FROM share
    CROSS JOIN LATERAL (
        SELECT id, row_number() OVER (ORDER BY priority DESC, due_at, id) AS place
        FROM forge_jobs
        WHERE blocked_by = share.key AND left(coalesce(identity ->> 'tenant', ''), 200) = share.tenant
          AND name = ANY ($4)
        ORDER BY priority DESC, due_at, id
        LIMIT share.jobs_max
    ) AS job
), locked AS (
    SELECT job.id, chosen.key, chosen.tenant, chosen.place
    FROM chosen JOIN forge_jobs job ON job.id = chosen.id
    WHERE chosen.place <= chosen.count AND job.blocked_by = chosen.key
    FOR UPDATE OF job SKIP LOCKED
)
UPDATE forge_jobs job
SET ready = true, run_at = job.due_at, blocked_by = NULL, due_at = NULL
FROM locked
WHERE job.id = locked.id
RETURNING job.queue, locked.key, locked.tenant, locked.place
