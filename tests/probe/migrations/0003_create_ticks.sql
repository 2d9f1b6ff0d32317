-- What the probe's crons did: a row for each run, so that a run that came twice is seen.

-- @up
create table probe_ticks (
    cron text not null,
    scheduled_at timestamptz not null,
    catch_up boolean not null,
    late boolean not null,
    began_at timestamptz not null,
    ended_at timestamptz not null default clock_timestamp()
);
create index on probe_ticks (cron, scheduled_at);

-- @down
drop table probe_ticks;
