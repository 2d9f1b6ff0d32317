-- Enum types and tables of the application's models; run once, on a schema without them.
CREATE TYPE "task_status" AS ENUM ('open', 'in_progress', 'done');
CREATE OR REPLACE FUNCTION forge_touch() RETURNS trigger LANGUAGE plpgsql AS $$
BEGIN
    RETURN jsonb_populate_record(NEW, jsonb_build_object(TG_ARGV[0], now()));
END
$$;
CREATE TABLE "people" (
    "id" uuid PRIMARY KEY,
    "email" text NOT NULL,
    "password_hash" text NOT NULL,
    "favourite" uuid,
    "past" "task_status"[] NOT NULL
);
CREATE UNIQUE INDEX "people_email_key" ON "people" ("email");
CREATE TABLE "projects" (
    "id" uuid PRIMARY KEY,
    "owner" uuid NOT NULL REFERENCES "people" ("id") ON DELETE RESTRICT
);
CREATE TABLE "tasks" (
    "id" uuid PRIMARY KEY,
    "project" uuid NOT NULL REFERENCES "projects" ("id") ON DELETE CASCADE,
    "title" text NOT NULL,
    "status" "task_status" NOT NULL DEFAULT 'open',
    "assignee" uuid REFERENCES "people" ("id") ON DELETE SET NULL,
    "labels" text[] NOT NULL DEFAULT ('{}'::text[]),
    "position" integer NOT NULL DEFAULT '-1',
    "body" varchar(80),
    "updated_at" timestamptz NOT NULL DEFAULT now()
);
CREATE INDEX "tasks_assignee_idx" ON "tasks" ("assignee");
CREATE INDEX "tasks_project_status_idx" ON "tasks" ("project", "status");
CREATE UNIQUE INDEX "tasks_project_title_key" ON "tasks" ("project", "title") WHERE (status <> 'done');
CREATE TRIGGER "updated_at_touch" BEFORE UPDATE ON "tasks" FOR EACH ROW EXECUTE FUNCTION forge_touch('updated_at');
ALTER TABLE "people" ADD FOREIGN KEY ("favourite") REFERENCES "projects" ("id") ON DELETE SET NULL;
