-- Embedded by the application that must compile, and applied for the tests of `testing`.
-- @up
CREATE TABLE things (id uuid PRIMARY KEY);
-- @irreversible
