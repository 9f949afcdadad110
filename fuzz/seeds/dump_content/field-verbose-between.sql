--
-- PostgreSQL database dump
--

pg_dump: creating TABLE "t"
CREATE TABLE t (i int);

--
-- PostgreSQL database dump complete
--
