-- Called by forge.overview. Counts the crashes of a day by the index on their time; no lock.
SELECT coalesce(sum(occurrences), 0)::int8 FROM forge_crashes WHERE at > now() - interval '1 day'
