-- Captures the new partitions of captured tables. Called by the compactor where there is no event trigger;
-- scans pg_trigger, locks each new partition against writers (SHARE ROW EXCLUSIVE).
SELECT forge_cover_partitions()
