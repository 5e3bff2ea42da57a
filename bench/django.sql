-- What a view with an N+1 sends: a page of 20 rows, then each of them again by its key; 23 statements.
\set page random(1, 100000 * :scale - 20)
BEGIN;
SELECT "pgbench_accounts"."aid", "pgbench_accounts"."bid", "pgbench_accounts"."abalance", "pgbench_accounts"."filler" FROM "pgbench_accounts" WHERE "pgbench_accounts"."aid" >= :page ORDER BY "pgbench_accounts"."aid" ASC LIMIT 20;
SELECT "pgbench_accounts"."aid", "pgbench_accounts"."bid", "pgbench_accounts"."abalance", "pgbench_accounts"."filler" FROM "pgbench_accounts" WHERE "pgbench_accounts"."aid" = :page LIMIT 21;
\set key :page + 1
SELECT "pgbench_accounts"."aid", "pgbench_accounts"."bid", "pgbench_accounts"."abalance", "pgbench_accounts"."filler" FROM "pgbench_accounts" WHERE "pgbench_accounts"."aid" = :key LIMIT 21;
\set key :page + 2
SELECT "pgbench_accounts"."aid", "pgbench_accounts"."bid", "pgbench_accounts"."abalance", "pgbench_accounts"."filler" FROM "pgbench_accounts" WHERE "pgbench_accounts"."aid" = :key LIMIT 21;
\set key :page + 3
SELECT "pgbench_accounts"."aid", "pgbench_accounts"."bid", "pgbench_accounts"."abalance", "pgbench_accounts"."filler" FROM "pgbench_accounts" WHERE "pgbench_accounts"."aid" = :key LIMIT 21;
\set key :page + 4
SELECT "pgbench_accounts"."aid", "pgbench_accounts"."bid", "pgbench_accounts"."abalance", "pgbench_accounts"."filler" FROM "pgbench_accounts" WHERE "pgbench_accounts"."aid" = :key LIMIT 21;
\set key :page + 5
SELECT "pgbench_accounts"."aid", "pgbench_accounts"."bid", "pgbench_accounts"."abalance", "pgbench_accounts"."filler" FROM "pgbench_accounts" WHERE "pgbench_accounts"."aid" = :key LIMIT 21;
\set key :page + 6
SELECT "pgbench_accounts"."aid", "pgbench_accounts"."bid", "pgbench_accounts"."abalance", "pgbench_accounts"."filler" FROM "pgbench_accounts" WHERE "pgbench_accounts"."aid" = :key LIMIT 21;
\set key :page + 7
SELECT "pgbench_accounts"."aid", "pgbench_accounts"."bid", "pgbench_accounts"."abalance", "pgbench_accounts"."filler" FROM "pgbench_accounts" WHERE "pgbench_accounts"."aid" = :key LIMIT 21;
\set key :page + 8
SELECT "pgbench_accounts"."aid", "pgbench_accounts"."bid", "pgbench_accounts"."abalance", "pgbench_accounts"."filler" FROM "pgbench_accounts" WHERE "pgbench_accounts"."aid" = :key LIMIT 21;
\set key :page + 9
SELECT "pgbench_accounts"."aid", "pgbench_accounts"."bid", "pgbench_accounts"."abalance", "pgbench_accounts"."filler" FROM "pgbench_accounts" WHERE "pgbench_accounts"."aid" = :key LIMIT 21;
\set key :page + 10
SELECT "pgbench_accounts"."aid", "pgbench_accounts"."bid", "pgbench_accounts"."abalance", "pgbench_accounts"."filler" FROM "pgbench_accounts" WHERE "pgbench_accounts"."aid" = :key LIMIT 21;
\set key :page + 11
SELECT "pgbench_accounts"."aid", "pgbench_accounts"."bid", "pgbench_accounts"."abalance", "pgbench_accounts"."filler" FROM "pgbench_accounts" WHERE "pgbench_accounts"."aid" = :key LIMIT 21;
\set key :page + 12
SELECT "pgbench_accounts"."aid", "pgbench_accounts"."bid", "pgbench_accounts"."abalance", "pgbench_accounts"."filler" FROM "pgbench_accounts" WHERE "pgbench_accounts"."aid" = :key LIMIT 21;
\set key :page + 13
SELECT "pgbench_accounts"."aid", "pgbench_accounts"."bid", "pgbench_accounts"."abalance", "pgbench_accounts"."filler" FROM "pgbench_accounts" WHERE "pgbench_accounts"."aid" = :key LIMIT 21;
\set key :page + 14
SELECT "pgbench_accounts"."aid", "pgbench_accounts"."bid", "pgbench_accounts"."abalance", "pgbench_accounts"."filler" FROM "pgbench_accounts" WHERE "pgbench_accounts"."aid" = :key LIMIT 21;
\set key :page + 15
SELECT "pgbench_accounts"."aid", "pgbench_accounts"."bid", "pgbench_accounts"."abalance", "pgbench_accounts"."filler" FROM "pgbench_accounts" WHERE "pgbench_accounts"."aid" = :key LIMIT 21;
\set key :page + 16
SELECT "pgbench_accounts"."aid", "pgbench_accounts"."bid", "pgbench_accounts"."abalance", "pgbench_accounts"."filler" FROM "pgbench_accounts" WHERE "pgbench_accounts"."aid" = :key LIMIT 21;
\set key :page + 17
SELECT "pgbench_accounts"."aid", "pgbench_accounts"."bid", "pgbench_accounts"."abalance", "pgbench_accounts"."filler" FROM "pgbench_accounts" WHERE "pgbench_accounts"."aid" = :key LIMIT 21;
\set key :page + 18
SELECT "pgbench_accounts"."aid", "pgbench_accounts"."bid", "pgbench_accounts"."abalance", "pgbench_accounts"."filler" FROM "pgbench_accounts" WHERE "pgbench_accounts"."aid" = :key LIMIT 21;
\set key :page + 19
SELECT "pgbench_accounts"."aid", "pgbench_accounts"."bid", "pgbench_accounts"."abalance", "pgbench_accounts"."filler" FROM "pgbench_accounts" WHERE "pgbench_accounts"."aid" = :key LIMIT 21;
COMMIT;
