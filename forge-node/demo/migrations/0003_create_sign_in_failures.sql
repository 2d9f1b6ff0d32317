-- Wrong passwords, which slow the next tries down.

-- @up
CREATE TABLE sign_in_failures (
    person uuid NOT NULL REFERENCES users ON DELETE CASCADE,
    -- Where the tries came from; of IPv6 the network, of which one client has all addresses.
    address text NOT NULL,
    failures int NOT NULL,
    last_at timestamptz NOT NULL,
    PRIMARY KEY (person, address)
);

-- @down
DROP TABLE sign_in_failures;
