//! Pairs: what Django's drivers send for one ORM query, and what looks alike but is not.

use super::{different, normalized, same};

#[test]
fn literals_of_every_kind_are_one_constant() {
    same(&[
        "SELECT a FROM t WHERE b = 1",
        "SELECT a FROM t WHERE b = 1.5e-3",
        "SELECT a FROM t WHERE b = .5",
        "SELECT a FROM t WHERE b = 0x1F",
        "SELECT a FROM t WHERE b = 1_000",
        "SELECT a FROM t WHERE b = 'x'",
        "SELECT a FROM t WHERE b = 'it''s'",
        "SELECT a FROM t WHERE b =  E'it\\'s'",
        "SELECT a FROM t WHERE b = N'x'",
        "SELECT a FROM t WHERE b = B'101'",
        "SELECT a FROM t WHERE b = X'1F'",
        "SELECT a FROM t WHERE b = U&'d\\0061t'",
        "SELECT a FROM t WHERE b = U&'d!0061t' UESCAPE '!'",
        "SELECT a FROM t WHERE b = $$dollar 'quoted'$$",
        "SELECT a FROM t WHERE b = $tag$a $$ b $ta$tag$",
        "SELECT a FROM t WHERE b = $1",
        "SELECT a FROM t WHERE b = TRUE",
        "SELECT a FROM t WHERE b = false",
        "SELECT a FROM t WHERE b = NULL",
        "SELECT a FROM t WHERE b = 'a'\n   'b'",
    ]);
}

#[test]
fn a_sign_belongs_to_its_constant() {
    same(&[
        "SELECT a FROM t WHERE price > 5",
        "SELECT a FROM t WHERE price >  -5",
        "SELECT a FROM t WHERE price > - 5",
        "SELECT a FROM t WHERE price >-5",
        "SELECT a FROM t WHERE price > +5",
        "SELECT a FROM t WHERE price > - - 5",
        "SELECT a FROM t WHERE price > $1",
        "SELECT a FROM t WHERE price > -interval '1 day'",
    ]);
    same(&["SELECT 1::int +  -2", "SELECT $1 + $2", "SELECT 1 +2"]);
    same(&["UPDATE t SET a = (a -  -5)", "UPDATE t SET a = (a - $1)"]);
    same(&["SELECT a LIMIT 1 OFFSET  -1", "SELECT a LIMIT $1 OFFSET $2"]);
    different(&[
        "SELECT a - 5 FROM t",
        "SELECT a + 5 FROM t",
        "SELECT -a FROM t",
        "SELECT a FROM t",
        "SELECT a 5 FROM t",
    ]);
    different(&[
        "SELECT (a) - 1",
        "SELECT (a) 1",
        "SELECT a[1] - 1",
        "SELECT -(1)",
        "SELECT (1)",
    ]);
}

#[test]
fn a_cast_goes_with_its_constant_only() {
    same(&[
        "SELECT a FROM t WHERE at > '2024-01-01 00:00:00+00:00'::timestamptz AND b = 1",
        "SELECT a FROM t WHERE at > '2024-01-01T00:00:00+00:00'::timestamptz AND b = $2",
        "SELECT a FROM t WHERE at > $1 AND b = $2",
        "SELECT a FROM t WHERE at > $1::timestamp with time zone AND b = 2",
        "SELECT a FROM t WHERE at > '2024-01-01'::timestamp(3) without time zone AND b = 2",
        "SELECT a FROM t WHERE at > '2024-01-01'::date::timestamptz AND b = 2",
        "SELECT a FROM t WHERE at > '2'::pg_catalog.int4 AND b = 2::int8",
        "SELECT a FROM t WHERE at > '2'::numeric(10, 2) AND b = '{1}'::int2[]",
        "SELECT a FROM t WHERE at > '2'::double precision AND b = '{1}'::character varying(10)[]",
        "SELECT a FROM t WHERE at > '1'::interval day to second AND b = '1'::\"My Type\"[3][]",
        "SELECT a FROM t WHERE at > date '2024-01-01' AND b = timestamp with time zone '2024-01-01'",
        "SELECT a FROM t WHERE at > INTERVAL '1' day AND b = double precision '1'",
        "SELECT a FROM t WHERE at > interval '1 day' AND b = character varying 'x'",
    ]);
    different(&[
        "SELECT a FROM t WHERE b = $1",
        "SELECT a FROM t WHERE b::text = $1",
        "SELECT a FROM t WHERE b::int = $1",
        "SELECT a FROM t WHERE (b)::text = $1",
        "SELECT a FROM t WHERE b = ($1)::bigint[]",
        "SELECT a FROM t WHERE b = ($1)",
    ]);
    // WITH behind a timestamp may be a clause of its own.
    different(&[
        "CREATE TABLE x AS SELECT '1'::timestamp WITH NO DATA",
        "CREATE TABLE x AS SELECT '1'::timestamp with time zone",
    ]);
    same(&[
        "CREATE TABLE x AS SELECT '1'::timestamp WITH NO DATA",
        "CREATE TABLE x AS SELECT $1 WITH NO DATA",
    ]);
    normalized(
        "SELECT \"n\"::text, (1)::bigint, x AT TIME ZONE 'UTC')::date",
        "SELECT \"n\"::text, ($1)::bigint, x AT TIME ZONE $2)::date",
    );
}

#[test]
fn null_and_booleans_are_constants_unless_they_are_grammar() {
    same(&[
        "SELECT a FROM t WHERE b IS NULL",
        "select a from t where b is null",
    ]);
    different(&[
        "SELECT a FROM t WHERE b IS NULL",
        "SELECT a FROM t WHERE b IS NOT NULL",
        "SELECT a FROM t WHERE b IS TRUE",
        "SELECT a FROM t WHERE b IS NOT TRUE",
        "SELECT a FROM t WHERE b IS FALSE",
        "SELECT a FROM t WHERE b IS NOT FALSE",
        "SELECT a FROM t WHERE b IS UNKNOWN",
        "SELECT a FROM t WHERE b = $1",
    ]);
    same(&[
        "SELECT a FROM t WHERE b IS DISTINCT FROM NULL",
        "SELECT a FROM t WHERE b IS DISTINCT FROM $1",
    ]);
    different(&[
        "CREATE TABLE t (a int NULL)",
        "CREATE TABLE t (a int NOT NULL)",
        "CREATE TABLE t (a int)",
    ]);
    different(&[
        "ALTER TABLE t ALTER a SET NOT NULL",
        "ALTER TABLE t ALTER a DROP NOT NULL",
    ]);
    different(&[
        "ALTER TABLE t ADD FOREIGN KEY (a) REFERENCES u ON DELETE SET NULL",
        "ALTER TABLE t ADD FOREIGN KEY (a) REFERENCES u ON DELETE SET DEFAULT",
    ]);
    same(&[
        "UPDATE t SET a = NULL, b = DEFAULT",
        "UPDATE t SET a = 1, b = DEFAULT",
    ]);
    different(&["UPDATE t SET a = DEFAULT", "UPDATE t SET a = 1"]);
}

#[test]
fn in_lists_of_any_length_are_one() {
    same(&[
        "SELECT a FROM t WHERE id IN (7)",
        "SELECT a FROM t WHERE id IN (1, 2, 3)",
        "SELECT a FROM t WHERE id IN (1,2,3,4,5,6,7,8,9,10)",
        "SELECT a FROM t WHERE id IN ($1, $2)",
        "SELECT a FROM t WHERE id IN ($1 /*, ... */)",
        "SELECT a FROM t WHERE id IN ('a'::uuid, 'b'::uuid)",
        "SELECT a FROM t WHERE id IN ( -1, +2, NULL)",
        "SELECT a FROM t WHERE id IN ((1, 2), (3, 4))",
        "SELECT a FROM t WHERE id IN ((1, 'a'))",
    ]);
    normalized(
        "SELECT a FROM t WHERE id IN (1, 2) AND (a, b) IN ((1, 2), (3, 4)) OR c NOT IN ('x')",
        "SELECT a FROM t WHERE id IN ($1 /*, ... */) AND (a, b) IN ($2 /*, ... */) OR c NOT IN ($3 /*, ... */)",
    );
    normalized(
        "SELECT a FROM t WHERE id IN (1, 2, b, 3, 4 + 5, 6)",
        "SELECT a FROM t WHERE id IN ($1 /*, ... */, b, $2 /*, ... */, $3 + $4, $5 /*, ... */)",
    );
    normalized(
        "SELECT a FROM t WHERE id IN (LOWER('a'), LOWER('b'), LOWER('c'))",
        "SELECT a FROM t WHERE id IN (LOWER($1))",
    );
    different(&[
        "SELECT a FROM t WHERE id IN (1)",
        "SELECT a FROM t WHERE id NOT IN (1)",
        "SELECT a FROM t WHERE id IN (SELECT b FROM u)",
        "SELECT a FROM t WHERE id IN (SELECT b, b FROM u)",
        "SELECT a FROM t WHERE id IN (VALUES (1))",
        "SELECT a FROM t WHERE id IN (b)",
        "SELECT a FROM t WHERE id IN (b, 1)",
        "SELECT a FROM t WHERE id IN ((b, 1), (2, 3))",
        "SELECT a FROM t WHERE id = (1)",
        "SELECT f(1, 2, 3)",
        "SELECT f(1, 2)",
        "SELECT f(1)",
    ]);
}

#[test]
fn arrays_of_constants_are_constants() {
    same(&[
        "SELECT a FROM t WHERE id = ANY($1)",
        "SELECT a FROM t WHERE id = ANY('{1,2,3}'::int2[])",
        "SELECT a FROM t WHERE id = ANY('{1,70000}'::int4[])",
        "SELECT a FROM t WHERE id = ANY(ARRAY[1,2,3])",
        "SELECT a FROM t WHERE id = ANY(ARRAY[])",
        "SELECT a FROM t WHERE id = ANY(ARRAY['a'::uuid, NULL]::uuid[])",
        "SELECT a FROM t WHERE id = ANY(ARRAY[ARRAY[1,2],ARRAY[3]])",
        "SELECT a FROM t WHERE id = ANY(ARRAY[[1,2],[3, -4]])",
        "SELECT a FROM t WHERE id = ANY(- ARRAY[1])",
    ]);
    same(&[
        "SELECT a #> '{dims,w}' FROM t",
        "SELECT a #> ARRAY['dims','w'] FROM t",
        "SELECT a #> $1 FROM t",
    ]);
    same(&[
        "SELECT * FROM UNNEST(('{1,2}'::int2[])::bigint[], ('{a}')::text[])",
        "SELECT * FROM UNNEST((ARRAY[1, 2])::bigint[], (ARRAY['a'])::text[])",
        "SELECT * FROM UNNEST(($1)::bigint[], ($2)::text[])",
    ]);
    different(&[
        "SELECT ARRAY[1, 2]",
        "SELECT ARRAY[a]",
        "SELECT ARRAY[a, b]",
        "SELECT ARRAY[a, 1]",
        "SELECT ARRAY[1, a]",
        "SELECT ARRAY(SELECT 1)",
        "SELECT a[1]",
        "SELECT a[1:2]",
        "SELECT a",
    ]);
}

#[test]
fn ranges_and_hstores_of_both_drivers_are_constants() {
    same(&[
        "SELECT a FROM t WHERE r && '[2024-01-01,2024-02-01)'::daterange",
        "SELECT a FROM t WHERE r && daterange('2024-01-01'::date, '2024-02-01'::date, '[)')",
        "SELECT a FROM t WHERE r && $1",
    ]);
    same(&[
        "UPDATE t SET h = hstore(ARRAY['a'], ARRAY['b'])",
        "UPDATE t SET h = '\"a\"=>\"b\"'::hstore",
    ]);
    different(&[
        "SELECT tstzrange(a, b, $1)",
        "SELECT $1",
        "SELECT tsrange(a, b, $1)",
    ]);
}

#[test]
fn rows_of_values_are_one_row() {
    same(&[
        "INSERT INTO t (a, b) VALUES (1, 'x') RETURNING t.id",
        "INSERT INTO t (a, b) VALUES (1, 'x'), (2, 'y'), (3, NULL) RETURNING t.id",
        "INSERT INTO t (a, b) VALUES (DEFAULT, 'x'), (2, DEFAULT) RETURNING t.id",
        "INSERT INTO t (a, b) VALUES ($1, $2), ($3, $4) RETURNING t.id",
        "INSERT INTO t (a, b) VALUES (TRUE, ARRAY[1,2]), ($3, -4) RETURNING t.id",
    ]);
    normalized(
        "INSERT INTO t VALUES (1, NOW()), (2, NOW()) ON CONFLICT DO NOTHING",
        "INSERT INTO t VALUES ($1, NOW()) ON CONFLICT DO NOTHING",
    );
    same(&[
        "SELECT * FROM (VALUES (1), (2)) AS v",
        "SELECT * FROM (VALUES ($1)) AS v",
    ]);
    different(&[
        "INSERT INTO t (a, b) VALUES (1, 2)",
        "INSERT INTO t (a, b) VALUES (1, 2, 3)",
        "INSERT INTO t (a, b) VALUES (1, NOW())",
        "INSERT INTO t (a, b) VALUES (1, 2), (1, NOW())",
        "INSERT INTO t (a, b) VALUES (1, 2) ON CONFLICT DO NOTHING",
        "INSERT INTO t (a, b) SELECT 1, 2",
        "INSERT INTO t (a, b) DEFAULT VALUES",
    ]);
}

#[test]
fn arms_of_a_bulk_update_are_one_arm() {
    same(&[
        "UPDATE t SET a = CASE WHEN (t.id = 1) THEN 2.00 ELSE NULL END WHERE id IN (1)",
        "UPDATE t SET a = CASE WHEN (t.id = 1) THEN 2.00 WHEN (t.id = 2) THEN NULL ELSE NULL END WHERE id IN (1, 2)",
        "UPDATE t SET a = CASE WHEN (t.id = $1) THEN $2 WHEN (t.id = $3) THEN $4 WHEN (t.id = $5) THEN $6 ELSE $7 END \
         WHERE id IN ($8, $9, $10)",
    ]);
    same(&[
        "UPDATE t SET a = (CASE WHEN (t.id = 1) THEN 1 WHEN (t.id = 2) THEN 2 ELSE NULL END)::integer",
        "UPDATE t SET a = (CASE WHEN (t.id = $1) THEN $2 ELSE $3 END)::integer",
    ]);
    different(&[
        "SELECT CASE WHEN a = 1 THEN 2 ELSE 3 END",
        "SELECT CASE WHEN a = 1 THEN 2 END",
        "SELECT CASE WHEN a = 1 THEN 2 WHEN b = 1 THEN 2 END",
        "SELECT CASE WHEN b = 1 THEN 2 WHEN a = 1 THEN 2 END",
        "SELECT CASE a WHEN 1 THEN 2 END",
        "SELECT CASE WHEN a = 1 THEN CASE WHEN b = 1 THEN 2 ELSE 3 END ELSE 3 END",
    ]);
    same(&[
        "SELECT CASE WHEN a = 1 THEN CASE WHEN b = 1 THEN 2 WHEN b = 2 THEN 3 END \
         WHEN a = 2 THEN CASE WHEN b = 1 THEN 2 END ELSE 3 END - 5",
        "SELECT CASE WHEN a = 1 THEN CASE WHEN b = 1 THEN 2 END ELSE 3 END - 5",
    ]);
}

#[test]
fn names_that_are_values_are_constants() {
    same(&[
        "SAVEPOINT \"s139739808115584_x1\"",
        "SAVEPOINT \"s139739808115584_x2\"",
        "savepoint a",
        "SAVEPOINT $1",
    ]);
    same(&["RELEASE SAVEPOINT \"s1_x1\"", "RELEASE SAVEPOINT s2"]);
    same(&[
        "ROLLBACK TO SAVEPOINT \"s1_x1\"",
        "ROLLBACK TO SAVEPOINT s2",
        "rollback to savepoint $1",
    ]);
    same(&[
        "FETCH FORWARD 100 FROM \"_django_curs_139739808115584_sync_3\"",
        "FETCH FORWARD 2000 FROM \"_django_curs_139739808115584_4_1\"",
        "fetch forward $1 from $2",
    ]);
    same(&["FETCH -5 FROM c", "FETCH 5 FROM d"]);
    same(&["MOVE 5 IN c", "MOVE 6 IN d"]);
    same(&["CLOSE \"_django_curs_1_sync_1\"", "CLOSE c"]);
    same(&["DEALLOCATE a", "DEALLOCATE \"_pg3_1\""]);
    same(&["EXECUTE a (1, 'x')", "EXECUTE b (2, 'y')"]);
    same(&[
        "PREPARE a (int) AS SELECT 1",
        "PREPARE b (int) AS SELECT $1",
    ]);
    same(&[
        "DELETE FROM t WHERE CURRENT OF c1",
        "DELETE FROM t WHERE CURRENT OF \"c2\"",
    ]);
    same(&["PREPARE TRANSACTION 'a'", "PREPARE TRANSACTION 'b'"]);
    different(&[
        "SAVEPOINT a",
        "RELEASE SAVEPOINT a",
        "ROLLBACK TO SAVEPOINT a",
        "ROLLBACK",
        "COMMIT",
        "CLOSE a",
        "CLOSE ALL",
        "DEALLOCATE a",
        "DEALLOCATE ALL",
        "FETCH 1 FROM a",
        "FETCH NEXT FROM a",
        "FETCH ALL FROM a",
        "SELECT a",
    ]);
    different(&["LISTEN a", "LISTEN b", "NOTIFY a"]);
}

#[test]
fn names_are_what_postgresql_says_they_are() {
    same(&[
        "SELECT \"a\".\"b\" FROM \"a\"",
        "select a.b from a",
        "SELECT A.B FROM A",
    ]);
    same(&[
        "SELECT U0.id FROM t U0",
        "SELECT \"U0\".id FROM t \"U0\"",
        "SELECT u0.id FROM t u0",
    ]);
    same(&["SELECT \"a$1\"", "SELECT a$1"]);
    same(&["SELECT \"é\"", "SELECT é"]);
    let long = "x".repeat(63);
    same(&[
        &format!("SELECT {long}"),
        &format!("SELECT {long}yz"),
        &format!("SELECT \"{long}abc\""),
    ]);
    different(&["SELECT \"Name\"", "SELECT name", "SELECT \"NAME\""]);
    different(&["SELECT \"user\" FROM t", "SELECT user FROM t"]);
    different(&[
        "SELECT \"a b\"",
        "SELECT a b",
        "SELECT \"a\"\"b\"",
        "SELECT \"a\"\"\"",
    ]);
    different(&["SELECT \"1\"", "SELECT 1", "SELECT \"$\"", "SELECT \"$1\""]);
    different(&["SELECT U&\"a\"", "SELECT \"a\""]);
    different(&["SELECT \"a\".\"b\"", "SELECT \"a.b\"", "SELECT a, b"]);
    // Words behind a dot or AS are names, whatever they mean elsewhere.
    normalized(
        "SELECT t.end - 1, t.null, t.values(1), (2)",
        "SELECT t.end - $1, t.null, t.values($2), ($3)",
    );
    same(&[
        "SELECT CASE WHEN a THEN 1 END AS end",
        "SELECT CASE WHEN a THEN 2 END AS end",
    ]);
}

#[test]
fn layout_and_comments_do_not_matter() {
    same(&[
        "SELECT a FROM t WHERE b = 1",
        "  select\n\ta\nfrom t where b=1 ",
        "/* one */ SELECT a FROM t WHERE b = 1",
        "SELECT a FROM t WHERE b = 1 /*controller='x',traceparent='00-1-2-03'*/",
        "SELECT /* a /* nested */ b */ a FROM t WHERE b = 1 -- end",
        "SELECT a -- middle\nFROM t WHERE b/**/=/**/1",
        "SELECT a FROM t WHERE b = 1;",
    ]);
    normalized("SELECT a/**/FROM t--x", "SELECT a FROM t");
    normalized("SELECT'a'AS b", "SELECT $1 AS b");
    different(&["SELECT a-b", "SELECT a--b\n"]);
}

#[test]
fn operators_stay() {
    same(&["SELECT a <> 1", "SELECT a != 1"]);
    different(&[
        "SELECT a ? 'b'",
        "SELECT a ?| 'b'",
        "SELECT a @> 'b'",
        "SELECT a -> 'b'",
        "SELECT a ->> 'b'",
        "SELECT a #> 'b'",
        "SELECT a || 'b'",
        "SELECT a ~ 'b'",
        "SELECT a = 'b'",
        "SELECT a 'b'",
        "SELECT a / 'b'",
        "SELECT a <= 'b'",
    ]);
    normalized("SELECT a @-5, a*-5, a<-5", "SELECT a @-$1, a*$2, a<$3");
}

#[test]
fn one_orm_query_of_all_drivers_is_one() {
    same(&[
        "SELECT 1 AS \"a\" FROM \"t\" WHERE \"t\".\"x_id\" = 8 LIMIT 1",
        "SELECT $1 AS \"a\" FROM \"t\" WHERE \"t\".\"x_id\" = $2 LIMIT 1",
        "SELECT $1 AS \"a\" FROM \"t\" WHERE \"t\".\"x_id\" = $2 LIMIT $3",
    ]);
    same(&[
        "SELECT DATE_TRUNC('month', \"t\".\"at\" AT TIME ZONE 'UTC') AS \"m\", COUNT(*) AS \"n\" FROM \"t\" GROUP BY 1",
        "SELECT DATE_TRUNC($1, \"t\".\"at\" AT TIME ZONE $2) AS \"m\", COUNT(*) AS \"n\" FROM \"t\" GROUP BY 1",
    ]);
    same(&[
        "SELECT \"t\".\"id\" FROM \"t\" WHERE \"t\".\"n\"::text LIKE '%o''b\\%\\_x%'",
        "SELECT \"t\".\"id\" FROM \"t\" WHERE \"t\".\"n\"::text LIKE  E'%o''b\\\\%\\\\_x%'",
        "SELECT \"t\".\"id\" FROM \"t\" WHERE \"t\".\"n\"::text LIKE $1",
    ]);
}

#[test]
fn what_is_different_stays_apart() {
    different(&[
        "SELECT a FROM t",
        "SELECT a FROM u",
        "SELECT a, b FROM t",
        "SELECT DISTINCT a FROM t",
        "SELECT a FROM t WHERE b = 1",
        "SELECT a FROM t WHERE b > 1",
        "SELECT a FROM t WHERE b = 1 AND c = 2",
        "SELECT a FROM t WHERE b = 1 OR c = 2",
        "SELECT a FROM t WHERE b = 1 LIMIT 1",
        "SELECT a FROM t WHERE b = 1 FOR UPDATE",
        "SELECT a FROM t ORDER BY b",
        "SELECT a FROM t ORDER BY b DESC",
        "SELECT a FROM t INNER JOIN u ON t.id = u.id",
        "SELECT a FROM t LEFT OUTER JOIN u ON t.id = u.id",
        "SELECT COUNT(*) FROM t",
        "SELECT COUNT(a) FROM t",
        "(SELECT a FROM t)",
    ]);
}
