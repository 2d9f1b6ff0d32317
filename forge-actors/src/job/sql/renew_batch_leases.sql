-- Called by job/store for the acknowledger: $1 batch leases, $2 seconds of the lease, $3 batch leases that
-- hold no job any more, and of single jobs $4 their batch leases, $5 ids, $6 whether the job has begun
-- (else it is in the history). Primary key. Locks the rows that it renews, not against statements that
-- finish jobs. A lease that has run out while no other node rescued it is renewed.
WITH ended AS (
    DELETE FROM forge_job_leases WHERE id = ANY ($3)
), noted AS (
    SELECT lease_id,
           coalesce(array_agg(id) FILTER (WHERE begun), '{}') AS begun,
           coalesce(array_agg(id) FILTER (WHERE NOT begun), '{}') AS finished
    FROM UNNEST($4::uuid[], $5::uuid[], $6::bool[]) AS job (lease_id, id, begun)
    GROUP BY lease_id
)
UPDATE forge_job_leases lease
SET lease_until = now() + make_interval(secs => $2),
    begun = coalesce(noted.begun, '{}'),
    gone = lease.gone || coalesce(noted.finished, '{}')
FROM UNNEST($1::uuid[]) AS batch (id) LEFT JOIN noted ON noted.lease_id = batch.id
WHERE lease.id = batch.id
RETURNING lease.id, lease.gone
