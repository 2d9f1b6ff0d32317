-- Called by leader/store.rs for leader/term.rs, as the first statement of every transaction of a duty: $1
-- leadership, $2 epoch, $3 node, $4 how long the transaction may idle. No row: the term is over. Primary key
-- of forge_leaders; FOR KEY SHARE lets the leader renew its row meanwhile, and makes the next election (FOR
-- UPDATE) wait until this transaction has ended. The later statements wait half a second for a lock: a duty
-- comes again, and a leader that freezes while its statement waits would hold up the next election.
SELECT set_config('idle_in_transaction_session_timeout', $4, true), set_config('lock_timeout', '500ms', true)
FROM forge_leaders
WHERE name = $1 AND epoch = $2 AND node_id = $3 AND resigned_at IS NULL
FOR KEY SHARE
