-- The tables, views and functions of the soundness corpus (corpus.rs).
CREATE TABLE fence (n int8 NOT NULL);
INSERT INTO fence VALUES (0);

CREATE TABLE customers (id int PRIMARY KEY, name text NOT NULL, region text NOT NULL);
CREATE TABLE orders (id int PRIMARY KEY, customer int NOT NULL, amount int NOT NULL);
CREATE TABLE items (id int PRIMARY KEY, order_id int NOT NULL REFERENCES orders ON DELETE CASCADE ON UPDATE CASCADE);
CREATE TABLE remarks (id int PRIMARY KEY, item int REFERENCES items ON DELETE SET NULL);
CREATE TABLE edges (source int NOT NULL, target int NOT NULL);
CREATE TABLE empty (id int);
CREATE TABLE single (id int);
CREATE TABLE animals (id int);
CREATE TABLE dogs (name text) INHERITS (animals);
CREATE TABLE audit (what text);
CREATE TABLE large (text text);
CREATE TABLE widening (id int);
CREATE TABLE uncaptured (id int);
CREATE TABLE parts (k int NOT NULL, text text) PARTITION BY RANGE (k);
CREATE TABLE parts_low PARTITION OF parts FOR VALUES FROM (0) TO (100);
CREATE TABLE parts_deep PARTITION OF parts FOR VALUES FROM (100) TO (200) PARTITION BY RANGE (k);
CREATE TABLE parts_deep_a PARTITION OF parts_deep FOR VALUES FROM (100) TO (150);
CREATE TABLE parts_deep_b PARTITION OF parts_deep FOR VALUES FROM (150) TO (200);
CREATE TABLE parts_other PARTITION OF parts DEFAULT;
CREATE SEQUENCE counter;

INSERT INTO customers SELECT n, 'name ' || n, CASE WHEN n % 2 = 0 THEN 'north' ELSE 'south' END FROM generate_series(1, 9) AS n;
INSERT INTO orders SELECT n, n % 2 + 1, n * 10 FROM generate_series(1, 8) AS n;
INSERT INTO items SELECT n, n FROM generate_series(1, 8) AS n;
INSERT INTO remarks SELECT n, n FROM generate_series(1, 8) AS n;
INSERT INTO edges VALUES (1, 2), (2, 3);
INSERT INTO single VALUES (1);
INSERT INTO large VALUES (repeat(md5('one'), 20000));
INSERT INTO widening VALUES (1);

CREATE VIEW big_orders AS SELECT * FROM orders WHERE amount >= 500;
CREATE VIEW regional AS SELECT c.region, count(*) AS orders FROM big_orders AS o JOIN customers AS c ON c.id = o.customer GROUP BY c.region ORDER BY c.region;
CREATE RECURSIVE VIEW reach (n) AS SELECT 1 UNION SELECT e.target FROM edges AS e JOIN reach ON e.source = reach.n;
CREATE VIEW changing AS SELECT 1 AS x;
CREATE MATERIALIZED VIEW frozen AS SELECT count(*) FROM edges;

CREATE FUNCTION orders_of(of int) RETURNS SETOF orders LANGUAGE sql STABLE AS 'SELECT * FROM orders WHERE customer = of ORDER BY id';
CREATE FUNCTION total_strict(of int) RETURNS int8 LANGUAGE sql STABLE STRICT SECURITY DEFINER AS 'SELECT count(*) FROM orders WHERE customer = of';
CREATE FUNCTION total_atomic(of int) RETURNS int8 STABLE BEGIN ATOMIC SELECT count(*) FROM orders WHERE customer = of; END;
CREATE FUNCTION total_plpgsql(of int) RETURNS int8 LANGUAGE plpgsql STABLE AS 'BEGIN RETURN (SELECT count(*) FROM orders WHERE customer = of); END';
CREATE FUNCTION total_cursor() RETURNS int8 LANGUAGE plpgsql STABLE AS $$
DECLARE total int8 := 0; o record;
BEGIN
    FOR o IN SELECT amount FROM orders LOOP total := total + o.amount; END LOOP;
    RETURN total;
END $$;
CREATE FUNCTION dynamic(name text) RETURNS int8 LANGUAGE plpgsql STABLE AS $$
DECLARE n int8;
BEGIN
    EXECUTE format('SELECT count(*) FROM %I', name) INTO n;
    RETURN n;
END $$;
-- What these read, they read in a block that is rolled back.
CREATE FUNCTION in_exception_block(wanted int) RETURNS int LANGUAGE plpgsql STABLE AS $$
DECLARE found int;
BEGIN
    BEGIN
        SELECT amount INTO found FROM orders WHERE amount > 0 AND id + 0 = wanted;
        RAISE EXCEPTION 'rolled back';
    EXCEPTION WHEN raise_exception THEN NULL;
    END;
    RETURN found;
END $$;
CREATE FUNCTION in_exception_block_by_index(wanted int) RETURNS text LANGUAGE plpgsql STABLE AS $$
DECLARE found text;
BEGIN
    BEGIN
        SET LOCAL enable_seqscan = off;
        SELECT name INTO found FROM customers WHERE id = wanted;
        RAISE EXCEPTION 'rolled back';
    EXCEPTION WHEN raise_exception THEN NULL;
    END;
    RETURN found;
END $$;
ALTER FUNCTION in_exception_block_by_index VOLATILE;
CREATE FUNCTION in_exception_block_view() RETURNS int8 LANGUAGE plpgsql STABLE AS $$
DECLARE found int8;
BEGIN
    BEGIN
        SELECT count(*) INTO found FROM big_orders;
        RAISE EXCEPTION 'rolled back';
    EXCEPTION WHEN raise_exception THEN NULL;
    END;
    RETURN found;
END $$;
CREATE FUNCTION in_exception_block_parts(wanted int) RETURNS text LANGUAGE plpgsql STABLE AS $$
DECLARE found text;
BEGIN
    BEGIN
        SELECT text INTO found FROM parts WHERE k = wanted;
        RAISE EXCEPTION 'rolled back';
    EXCEPTION WHEN raise_exception THEN NULL;
    END;
    RETURN found;
END $$;
CREATE FUNCTION in_exception_block_empty() RETURNS int8 LANGUAGE plpgsql STABLE AS $$
DECLARE found int8;
BEGIN
    BEGIN
        SELECT count(*) INTO found FROM empty;
        RAISE EXCEPTION 'rolled back';
    EXCEPTION WHEN raise_exception THEN NULL;
    END;
    RETURN found;
END $$;
CREATE FUNCTION in_exception_block_uncaptured() RETURNS int8 LANGUAGE plpgsql STABLE AS $$
DECLARE found int8;
BEGIN
    BEGIN
        SELECT count(*) INTO found FROM uncaptured;
        RAISE EXCEPTION 'rolled back';
    EXCEPTION WHEN raise_exception THEN NULL;
    END;
    RETURN found;
END $$;
CREATE FUNCTION divides(wanted int) RETURNS int LANGUAGE plpgsql STABLE AS $$
BEGIN
    RETURN (SELECT 100 / amount FROM orders WHERE id = wanted);
EXCEPTION WHEN division_by_zero THEN
    RETURN NULL;
END $$;
CREATE FUNCTION redefined() RETURNS int LANGUAGE sql STABLE AS 'SELECT 1';
CREATE FUNCTION late_count() RETURNS int8 LANGUAGE plpgsql STABLE AS $$
DECLARE n int8;
BEGIN
    IF to_regclass('late') IS NULL THEN RETURN NULL; END IF;
    EXECUTE 'SELECT count(*) FROM late' INTO n;
    RETURN n;
END $$;

CREATE FUNCTION note_customer() RETURNS trigger LANGUAGE plpgsql AS $$ BEGIN INSERT INTO audit VALUES (NEW.name); RETURN NULL; END $$;
CREATE TRIGGER note AFTER INSERT ON customers FOR EACH ROW EXECUTE FUNCTION note_customer();

-- Roles belong to the cluster, which several tests share.
DO $$ BEGIN CREATE ROLE forge_test_reader; EXCEPTION WHEN duplicate_object OR unique_violation THEN NULL; END $$;
CREATE TABLE guards (id int);
CREATE TABLE guarded (id int);
INSERT INTO guarded VALUES (0);
ALTER TABLE guarded ENABLE ROW LEVEL SECURITY;
CREATE POLICY guard ON guarded USING (EXISTS (SELECT FROM guards));
GRANT SELECT ON guards, guarded TO forge_test_reader;

SELECT forge_enable_reactivity(name::regclass)
FROM unnest('{fence,customers,orders,items,remarks,edges,empty,single,animals,dogs,audit,large,widening,parts,guards,guarded}'::text[]) AS name;
