-- A node whose clock is wrong refuses tokens that are right. Which of two nodes has the wrong clock shows by the database's, which both read.

-- @up
ALTER TABLE forge_nodes ADD COLUMN clock_offset_ms int8;
COMMENT ON COLUMN forge_nodes.clock_offset_ms IS 'The database''s clock minus the node''s; null for a version that writes none.';

-- @down
ALTER TABLE forge_nodes DROP COLUMN clock_offset_ms;
