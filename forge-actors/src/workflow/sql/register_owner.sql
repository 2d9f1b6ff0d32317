-- Called by workflow/store for the lease keeper: $1 node, $2 its name, $3 seconds of the lease. Makes a new
-- lease; its id is the fencing number of the runs that the node claims with it.
INSERT INTO forge_workflow_owners (node_id, node_name, expires_at)
VALUES ($1, $2, clock_timestamp() + make_interval(secs => $3))
RETURNING id
