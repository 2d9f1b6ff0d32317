-- Several versions of an application run side by side while nodes are replaced: a job whose arguments one of them cannot read is for
-- another one.

-- @up
ALTER TABLE forge_nodes ADD COLUMN build text;
COMMENT ON COLUMN forge_nodes.build IS 'Hash of the jobs of its binary and of their arguments; null for a version that writes none.';

ALTER TABLE forge_jobs ADD COLUMN refused_by text[];
COMMENT ON COLUMN forge_jobs.refused_by IS 'Builds whose handler could not read the arguments; null before the first one.';

-- @down
ALTER TABLE forge_jobs DROP COLUMN refused_by;
ALTER TABLE forge_nodes DROP COLUMN build;
