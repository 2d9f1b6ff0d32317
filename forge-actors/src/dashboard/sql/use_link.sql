-- Called by forge.redeem: one row if the link was not used before, none otherwise. Concurrent redemptions
-- meet at the primary key.
WITH expired AS (DELETE FROM forge_used_links WHERE expires_at < now())
INSERT INTO forge_used_links (id, expires_at) VALUES ($1, to_timestamp($2)) ON CONFLICT DO NOTHING
