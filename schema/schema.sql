-- Written by a test from the migrations; do not edit.
CREATE TABLE public.forge_crashes (
    id bigint NOT NULL,
    node_id uuid NOT NULL,
    path text NOT NULL,
    kind text NOT NULL,
    cause text NOT NULL,
    message text,
    backtrace text,
    restarts integer NOT NULL,
    occurrences integer DEFAULT 1 NOT NULL,
    at timestamp with time zone DEFAULT now() NOT NULL,
    CONSTRAINT forge_crashes_kind_check CHECK ((kind <> ''::text)),
    CONSTRAINT forge_crashes_occurrences_check CHECK ((occurrences > 0)),
    CONSTRAINT forge_crashes_path_check CHECK ((path <> ''::text)),
    CONSTRAINT forge_crashes_restarts_check CHECK ((restarts >= 0))
);
COMMENT ON TABLE public.forge_crashes IS 'One row per crash, or per burst of equal crashes of one actor (occurrences). Kept for 30 days.';
COMMENT ON COLUMN public.forge_crashes.path IS 'Place in the supervision tree, as in functions/dispatcher.';
COMMENT ON COLUMN public.forge_crashes.message IS 'Name of the message that was being handled; null when it crashed while starting or stopping.';
COMMENT ON COLUMN public.forge_crashes.restarts IS 'How often its supervisor had restarted it before.';
ALTER TABLE public.forge_crashes ALTER COLUMN id ADD GENERATED ALWAYS AS IDENTITY (
    SEQUENCE NAME public.forge_crashes_id_seq
    START WITH 1
    INCREMENT BY 1
    NO MINVALUE
    NO MAXVALUE
    CACHE 1
);
CREATE TABLE public.forge_migrations (
    set_name text NOT NULL,
    number integer NOT NULL,
    name text NOT NULL,
    checksum text NOT NULL,
    applied_at timestamp with time zone DEFAULT now() NOT NULL,
    execution_ms bigint NOT NULL,
    node text NOT NULL,
    CONSTRAINT forge_migrations_checksum_check CHECK ((length(checksum) = 64)),
    CONSTRAINT forge_migrations_execution_ms_check CHECK ((execution_ms >= 0)),
    CONSTRAINT forge_migrations_number_check CHECK ((number > 0))
);
ALTER TABLE ONLY public.forge_crashes
    ADD CONSTRAINT forge_crashes_pkey PRIMARY KEY (id);
ALTER TABLE ONLY public.forge_migrations
    ADD CONSTRAINT forge_migrations_pkey PRIMARY KEY (set_name, number);
CREATE INDEX forge_crashes_at ON public.forge_crashes USING btree (at);
