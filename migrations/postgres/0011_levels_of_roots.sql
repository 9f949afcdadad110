-- The directory in which a level was last reached: names of sources are moved about, and what was proven in another
-- directory is no proof for the files that the name stands for now. Empty where it was not noted.
ALTER TABLE levels ADD COLUMN root TEXT NOT NULL DEFAULT '';
