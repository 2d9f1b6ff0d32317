-- Wrong passwords, which slow the next tries down.

-- @up
CREATE TABLE sign_in_failures (
    -- As it was given, also when nobody has signed up with it.
    email text NOT NULL,
    -- Where the tries came from; of IPv6 the network, of which one client has all addresses.
    address text NOT NULL,
    failures int NOT NULL,
    last_at timestamptz NOT NULL,
    PRIMARY KEY (email, address)
);
CREATE INDEX sign_in_failures_last_at ON sign_in_failures (last_at);

-- @down
DROP TABLE sign_in_failures;
