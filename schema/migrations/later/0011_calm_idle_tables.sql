-- Tables of a few rows that nodes write all the time, also while nobody uses them. Their dead rows are pruned where they are
-- written; a vacuum and an analysis after each fifty of them were most of what an idle node had the server write.

-- @up
ALTER TABLE forge_nodes SET (autovacuum_vacuum_threshold = 2000, autovacuum_analyze_threshold = 2000);
-- A renewal of a term reads; its row is written once a minute.
COMMENT ON COLUMN forge_leaders.renewed_at IS 'The last renewal that the leader has written; it writes one a minute.';

-- @down
COMMENT ON COLUMN forge_leaders.renewed_at IS 'When the leader last proved that its session holds the advisory lock.';
ALTER TABLE forge_nodes RESET (autovacuum_vacuum_threshold, autovacuum_analyze_threshold);
