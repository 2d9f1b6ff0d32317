-- Tables of the conformance application; the handlers of tests/probe write and read them, the tests compare them with what was
-- acknowledged.

-- @up
create table probe_rows (
    id bigint primary key,
    title text not null,
    done boolean not null
);

create table probe_ledger (
    key text primary key,
    written_at timestamptz not null default now()
);

create table probe_halves (
    key text not null,
    half text not null check (half in ('left', 'right')),
    primary key (key, half)
);

create table probe_accounts (
    id bigint primary key,
    balance bigint not null
);

-- Live queries on these hear of changes at once.
select forge_enable_reactivity('probe_rows');
select forge_enable_reactivity('probe_accounts');

-- @down
select forge_disable_reactivity('probe_accounts');
select forge_disable_reactivity('probe_rows');
drop table probe_accounts;
drop table probe_halves;
drop table probe_ledger;
drop table probe_rows;
