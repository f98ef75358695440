-- Version 4: what tells of damage. How many transactions there were, see sqlite/mark.ts; and sums over numbers that
-- change, see sqlite/row-sum.ts.
ALTER TABLE total ADD COLUMN commits INTEGER NOT NULL DEFAULT 0;
ALTER TABLE job ADD COLUMN row_sum INTEGER; -- NULL: not changed since a version before
ALTER TABLE channel ADD COLUMN row_sum INTEGER;
