-- The nodes of the cluster: who is there, where, and since when. Nodes find each other by these rows.

-- @up
CREATE TYPE forge_node_state AS ENUM ('joining', 'active', 'draining', 'dead');

CREATE TABLE forge_nodes (
    id           uuid             PRIMARY KEY,
    name         text             NOT NULL CHECK (name <> ''),
    state        forge_node_state NOT NULL,
    roles        text[]           NOT NULL,
    address      text,
    mesh_address text,
    version      text             NOT NULL,
    protocol     int4             NOT NULL CHECK (protocol > 0),
    started_at   timestamptz      NOT NULL DEFAULT now(),
    seen_at      timestamptz      NOT NULL DEFAULT now(),
    ended_at     timestamptz,
    lost         bool             NOT NULL DEFAULT false,
    CHECK ((state = 'dead') = (ended_at IS NOT NULL)),
    CHECK (state = 'dead' OR NOT lost)
)
-- Every node updates its row every other second: with room in the page such an update touches no index.
WITH (fillfactor = 50);
COMMENT ON TABLE forge_nodes IS 'One row per process of a node. Rows of dead nodes are kept for a day.';
COMMENT ON COLUMN forge_nodes.address IS 'Where it answers HTTP; null without a gateway.';
COMMENT ON COLUMN forge_nodes.mesh_address IS 'Where it takes connections of other nodes; null without a mesh.';
COMMENT ON COLUMN forge_nodes.protocol IS 'Newest protocol of the mesh that it speaks.';
COMMENT ON COLUMN forge_nodes.seen_at IS 'Its last sign of life.';
COMMENT ON COLUMN forge_nodes.lost IS 'Another node declared it dead; one that stops in order says so itself.';

-- @down
DROP TABLE forge_nodes;
DROP TYPE forge_node_state;
