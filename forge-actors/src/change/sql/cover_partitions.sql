-- Captures partitions that captured tables got since. Called by the compactor where there is no event trigger; reads pg_trigger whole, locks each new
-- partition against writers (SHARE ROW EXCLUSIVE).
SELECT forge_cover_partitions()
