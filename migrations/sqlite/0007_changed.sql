-- Last change of the inode of the file that was read, in nanoseconds of Unix time; NULL in rows of before.
ALTER TABLE verifications ADD COLUMN changed BIGINT;
