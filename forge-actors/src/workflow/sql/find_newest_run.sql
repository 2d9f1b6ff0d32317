-- Called by workflow/chain.rs for `ctx.cancel_run(..)` and for the refusal of a command: $1 run. The newest
-- of the runs that it has gone on as; no row where it has not. Indexes forge_workflow_runs_continues and
-- forge_workflow_history_continues.
SELECT id FROM forge_newest_workflow_run($1)
