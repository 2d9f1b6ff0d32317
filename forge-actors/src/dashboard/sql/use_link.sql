-- Called by forge.redeem: one row if the link was not used before, none otherwise. Concurrent redemptions
-- meet at the primary key. $2 is the last second in which a node accepts the link, its leeway included; the
-- day beyond it is for a database whose clock is ahead of the nodes'.
WITH expired AS (DELETE FROM forge_used_links WHERE expires_at < now() - interval '1 day')
INSERT INTO forge_used_links (id, expires_at) VALUES ($1, to_timestamp($2)) ON CONFLICT DO NOTHING
