-- @up
CREATE TYPE task_status AS ENUM ('open', 'doing', 'done');

CREATE TABLE users (
    id uuid PRIMARY KEY,
    email text NOT NULL UNIQUE,
    name text NOT NULL,
    password_hash text NOT NULL,
    created_at timestamptz NOT NULL DEFAULT now()
);

CREATE TABLE projects (
    id uuid PRIMARY KEY,
    name text NOT NULL,
    owner uuid NOT NULL REFERENCES users ON DELETE RESTRICT,
    created_at timestamptz NOT NULL DEFAULT now()
);

CREATE TABLE memberships (
    id uuid PRIMARY KEY,
    project uuid NOT NULL REFERENCES projects ON DELETE CASCADE,
    member uuid NOT NULL REFERENCES users ON DELETE CASCADE,
    UNIQUE (project, member)
);
CREATE INDEX ON memberships (member);

CREATE TABLE tasks (
    id uuid PRIMARY KEY,
    project uuid NOT NULL REFERENCES projects ON DELETE CASCADE,
    title text NOT NULL,
    status task_status NOT NULL DEFAULT 'open',
    assignee uuid REFERENCES users ON DELETE SET NULL,
    created_at timestamptz NOT NULL DEFAULT now(),
    updated_at timestamptz NOT NULL DEFAULT now()
);
CREATE INDEX ON tasks (project, status);
CREATE INDEX ON tasks (assignee);

CREATE FUNCTION tasks_touch() RETURNS trigger LANGUAGE plpgsql AS $$
BEGIN
    NEW.updated_at := now();
    RETURN NEW;
END
$$;
CREATE TRIGGER tasks_touch BEFORE UPDATE ON tasks FOR EACH ROW EXECUTE FUNCTION tasks_touch();

-- @down
DROP TABLE tasks;
DROP FUNCTION tasks_touch;
DROP TABLE memberships;
DROP TABLE projects;
DROP TABLE users;
DROP TYPE task_status;
