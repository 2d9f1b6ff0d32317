-- Lists whether each table named in $1 is captured as a whole, and whether a part of it is. Tables that do
-- not exist are left out. Called at every comparison with the models; reads catalogs by index, takes no lock.
SELECT name, bool_and(forge_capture_of(member) IS NOT NULL), bool_or(forge_capture_of(member) IS NOT NULL)
FROM unnest($1::text[]) AS name CROSS JOIN LATERAL forge_members_of(to_regclass(quote_ident(name))) AS member
GROUP BY name ORDER BY name
