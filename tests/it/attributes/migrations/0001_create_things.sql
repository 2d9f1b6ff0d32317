-- Embedded by the application that must compile.
CREATE TABLE things (id uuid PRIMARY KEY);
