-- What the night came to, once nothing about it is open any more. It holds while `due_at` is NULL.
ALTER TABLE night ADD COLUMN settled TEXT;
