-- A renewal of a term reads; its row is written once a minute.

-- @up
COMMENT ON COLUMN forge_leaders.renewed_at IS 'The last renewal that the leader has written; it writes one a minute.';

-- @down
COMMENT ON COLUMN forge_leaders.renewed_at IS 'When the leader last proved that its session holds the advisory lock.';
