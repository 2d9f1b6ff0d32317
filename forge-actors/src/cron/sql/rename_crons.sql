-- Called by cron/store.rs for the scheduler when a term begins: $1 old names of handlers, $2 their present
-- ones. Index forge_crons_name. A schedule of the code keeps its runs when its handler is renamed; nothing
-- happens where the new name has a row already.
UPDATE forge_crons cron SET name = renamed.name, handler = renamed.name
FROM UNNEST($1::text[], $2::text[]) AS renamed (alias, name)
WHERE cron.source = 'code' AND cron.name = renamed.alias
  AND NOT EXISTS (SELECT FROM forge_crons taken WHERE taken.source = 'code' AND taken.name = renamed.name)
