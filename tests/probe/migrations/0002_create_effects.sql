-- What the probe's jobs did: a row for each time, so that what happened twice is seen.

-- @up
create table probe_effects (
    key text not null,
    what text not null,
    pid bigint not null,
    at timestamptz not null default clock_timestamp()
);
create index on probe_effects (key);

-- @down
drop table probe_effects;
