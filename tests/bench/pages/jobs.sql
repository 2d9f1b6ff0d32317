-- Jobs as an application has them after a week: of several queues, handlers and tenants, in every status.
-- WAITING and FINISHED are how many. The queues are paused and the keys closed, so that the jobs are read and
-- not run.

CREATE FUNCTION pg_temp.id(at timestamptz, kind text, n int4) RETURNS uuid RETURN (
    lpad(to_hex((extract(epoch FROM at) * 1000)::int8), 12, '0') || '7000' || kind || lpad(to_hex(n), 15, '0')
)::uuid;

CREATE FUNCTION pg_temp.handler(n int4, r int4) RETURNS text RETURN
    CASE WHEN n % 50000 = 0 THEN 'jobs.once' ELSE (ARRAY[
        'jobs.work', 'jobs.quick', 'limits.pair', 'mail.send_receipt', 'billing.charge_card',
        'search.index_page'
    ])[1 + r % 6] END;

CREATE FUNCTION pg_temp.queue(n int4, r int4) RETURNS text RETURN
    CASE WHEN n % 50000 = 0 THEN 'rare' ELSE (ARRAY[
        'work', 'quick', 'limits', 'mail', 'billing', 'search'
    ])[1 + r % 6] END;

CREATE FUNCTION pg_temp.priority(r int4) RETURNS int2 RETURN
    (ARRAY[0, 25, 50, 50, 50, 75, 100])[1 + r / 11 % 7];

CREATE FUNCTION pg_temp.args(n int4, r int4) RETURNS json RETURN json_build_object(
    'user', r % 50000, 'key', 'order-' || n, 'template', 'receipt', 'ms', 20,
    'address', json_build_object(
        'street', r % 900 || ' High Street', 'city', (ARRAY['Bonn', 'Lyon', 'Porto'])[1 + r % 3]
    ),
    'items', json_build_array(r % 1000, r % 77, r % 31)
);

CREATE FUNCTION pg_temp.identity(n int4, r int4) RETURNS json RETURN json_build_object(
    'subject', 'user-' || r % 50000,
    'roles', json_build_array('editor'),
    'tenant', CASE WHEN n % 70000 = 0 THEN 'tenant-rare' ELSE 'tenant-' || r / 7 % 40 END,
    'claims', json_build_object(
        'iss', 'https://id.example.org', 'email', 'user-' || r % 50000 || '@example.org'
    )
);

CREATE FUNCTION pg_temp.trace(n int4) RETURNS text RETURN
    '00-' || md5(n::text) || '-' || left(md5(n::text), 16) || '-01';

CREATE FUNCTION pg_temp.error(n int4) RETURNS text RETURN
    'the payment provider answered 503' || chr(10) || 'POST https://pay.example.org/v1/charges/' || n;

INSERT INTO forge_job_queues (queue, paused_at, paused_by)
SELECT queue, now(), 'bench'
FROM UNNEST(ARRAY['work', 'quick', 'limits', 'mail', 'billing', 'search', 'rare']) AS known (queue);

INSERT INTO forge_job_limits (key, limit_override, overridden_by)
SELECT 'limits.pair["key-' || n || '"]', 0, 'bench' FROM generate_series(0, 99) n;

-- Dispatched within the last two days. Of a hundred jobs 12 are scheduled, one is tried again, 5 are blocked
-- by a limit, and the others are due; of four thousand, one is held by its own row.
INSERT INTO forge_jobs (
    id, name, queue, priority, status, ready, run_at, attempt, attempts_max, claim, node_id, lease_until,
    args, identity, trace, last_error, created_at, batched, concurrency_key, blocked_by, due_at
)
SELECT pg_temp.id(at, '8', n),
       CASE WHEN kind = 'blocked' THEN 'limits.pair' ELSE pg_temp.handler(n, r) END,
       CASE WHEN kind = 'blocked' THEN 'limits' ELSE pg_temp.queue(n, r) END,
       pg_temp.priority(r),
       (CASE kind WHEN 'retry' THEN 'retry' WHEN 'held' THEN 'running' ELSE 'pending' END)::forge_job_status,
       kind IN ('due', 'held'),
       CASE kind
           WHEN 'blocked' THEN '9999-12-31'
           WHEN 'scheduled' THEN now() + (1 + n % 240) * interval '1 hour'
           WHEN 'retry' THEN now() + interval '1 day'
           ELSE at
       END,
       (kind IN ('retry', 'held'))::int4, 10, (kind IN ('retry', 'held'))::int4,
       CASE kind WHEN 'held' THEN gen_random_uuid() END,
       CASE kind WHEN 'held' THEN now() + interval '1 day' END,
       pg_temp.args(n, r), pg_temp.identity(n, r), pg_temp.trace(n),
       CASE kind WHEN 'retry' THEN pg_temp.error(n) END,
       at, kind = 'due', blocked_by, blocked_by, CASE kind WHEN 'blocked' THEN at END
FROM (
    SELECT n, r, at, kind,
           CASE kind WHEN 'blocked' THEN 'limits.pair["key-' || n / 100 % 100 || '"]' END AS blocked_by
    FROM (
        SELECT n, hashint8(n) & 2147483647 AS r,
               now() - interval '2 days' + n * (interval '2 days' / WAITING) AS at,
               CASE
                   WHEN n % 4000 = 99 THEN 'held'
                   WHEN n % 100 < 12 THEN 'scheduled'
                   WHEN n % 100 = 12 THEN 'retry'
                   WHEN n % 100 < 18 THEN 'blocked'
                   ELSE 'due'
               END AS kind
        FROM generate_series(1, WAITING) n
    ) AS job
) AS job;

-- Dispatched within the last six days. Of a hundred jobs 7 have not succeeded.
INSERT INTO forge_job_history (
    id, name, queue, priority, status, attempt, attempts_max, claim, node_id, args, identity, trace,
    last_error, created_at, finished_at, result
)
SELECT pg_temp.id(at, '9', n), pg_temp.handler(n, r), pg_temp.queue(n, r), pg_temp.priority(r), status,
       1 + r % 3, 10, 1 + r % 3, gen_random_uuid(),
       pg_temp.args(n, r), pg_temp.identity(n, r), pg_temp.trace(n),
       CASE WHEN status IN ('failed', 'dead_letter') THEN pg_temp.error(n) END,
       at, at + r % 5000 * interval '1 ms',
       CASE WHEN status = 'completed' AND n % 3 = 0 THEN json_build_object('sent', true, 'number', n) END
FROM (
    SELECT n, hashint8(n) & 2147483647 AS r,
           now() - interval '6 days' + n * (interval '6 days' / FINISHED) AS at,
           (CASE
               WHEN n % 100 < 2 THEN 'failed'
               WHEN n % 100 < 4 THEN 'dead_letter'
               WHEN n % 100 < 7 THEN 'cancelled'
               ELSE 'completed'
           END)::forge_job_status AS status
    FROM generate_series(1, FINISHED) n
) AS job;

-- Ten batch leases of up to a thousand jobs each, as ten busy nodes hold them.
WITH taken AS (
    DELETE FROM forge_jobs
    WHERE id IN (
        SELECT id FROM forge_jobs WHERE batched AND queue IN ('work', 'quick') ORDER BY id LIMIT 10000
    )
    RETURNING forge_jobs AS job
), parts AS (
    SELECT job, ntile(10) OVER () AS part FROM taken
)
INSERT INTO forge_job_leases (id, node_id, lease_until, jobs)
SELECT gen_random_uuid(), gen_random_uuid(), now() + interval '1 day', array_agg(job)
FROM parts
GROUP BY part;
