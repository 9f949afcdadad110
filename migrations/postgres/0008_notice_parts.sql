-- Of a receiver of several addresses: what is decided of each, a list in JSON; empty when nothing is.
ALTER TABLE deliveries ADD COLUMN parts TEXT NOT NULL DEFAULT '';

-- How often it was refused for itself while others were taken, and when last; 0 for never.
ALTER TABLE deliveries ADD COLUMN unfit BIGINT NOT NULL DEFAULT 0;
ALTER TABLE deliveries ADD COLUMN unfit_at BIGINT NOT NULL DEFAULT 0;
