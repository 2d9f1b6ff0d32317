-- Live queries of the probe hear of changes to these tables at once.

-- @up
select forge_enable_reactivity('probe_rows');
select forge_enable_reactivity('probe_accounts');

-- @down
select forge_disable_reactivity('probe_accounts');
select forge_disable_reactivity('probe_rows');
