--
-- PostgreSQL database cluster dump
--

\restrict 7iLigvugfJWnjeyc6AkVObVPWvfae6kdqzhIVcQzQhmGbfHnUbGogyFE8r4xEvD

SET default_transaction_read_only = off;

SET client_encoding = 'UTF8';
SET standard_conforming_strings = on;

--
-- Roles
--

CREATE ROLE postgres;
ALTER ROLE postgres WITH SUPERUSER INHERIT CREATEROLE CREATEDB LOGIN REPLICATION BYPASSRLS;

--
-- User Configurations
--








\unrestrict 7iLigvugfJWnjeyc6AkVObVPWvfae6kdqzhIVcQzQhmGbfHnUbGogyFE8r4xEvD

--
-- Databases
--

--
-- Database "template1" dump
--

\connect template1

--
-- PostgreSQL database dump
--

\restrict b3u6ka6KfBlzt8Bvixm6msDdGFHcbJ6k53FRA2V3huUv0jETquUl90eKBIhhcW0

-- Dumped from database version 15.18 (Debian 15.18-0+deb12u1)
-- Dumped by pg_dump version 15.18 (Debian 15.18-0+deb12u1)

SET statement_timeout = 0;
SET lock_timeout = 0;
SET idle_in_transaction_session_timeout = 0;
SET client_encoding = 'UTF8';
SET standard_conforming_strings = on;
SELECT pg_catalog.set_config('search_path', '', false);
SET check_function_bodies = false;
SET xmloption = content;
SET client_min_messages = warning;
SET row_security = off;

--
-- PostgreSQL database dump complete
--

\unrestrict b3u6ka6KfBlzt8Bvixm6msDdGFHcbJ6k53FRA2V3huUv0jETquUl90eKBIhhcW0

--
-- Database "blob" dump
--

--
-- PostgreSQL database dump
--

\restrict AABJVZKWUXjnagZdFruKjFnchY6gxfPvLD3BZJ6dr2ZvGWE0A7rZW0OT2Pk8WpT

-- Dumped from database version 15.18 (Debian 15.18-0+deb12u1)
-- Dumped by pg_dump version 15.18 (Debian 15.18-0+de9	1f0e3dad99908345f7439f8ffabdffc4	28.5
20	98f13708210194c475687be6106a3b84	30.0
21	3c59dc048e8850243be8079a5c74d079	31.5
22	b6d767d2f8ed5d21a44b0e5886680cb9	33.0
23	37693cfc748049e45d87b8c7d8b9aacd	34.5
24	1ff1de774005f8da13f42943881c655f	36.0
25	8e296a067a37563370ded05f5a3bf3ec	37.5
26	4e732ced3463d06de0ca9a15b6153677	39.0
27	02e74f10e0327ad868d138f2b4fdd6f0	40.5
28	33e75ff09dd601bbe69f351039152189	42.0
29	6ea9ab1baa0efb9e19094440c317e21b	43.5
30	34173cb38f07f89ddbebc2ac9128303f	45.0
31	c16a5320fa475530d9583c34fd356ef5	46.5
32	6364d3f0f495b6ab9dcf8d3b5c6e0b01	48.0
33	182be0c5cdcd5072bb1864cdee4d3d6e	49.5
34	e369853df766fa44e1ed0ff613f563bd	51.0
35	1c383cd30b7c298ab50293adfecb7b18	52.5
36	19ca14e7ea6328a42e0eb13d585e4c22	54.0
37	a5bfc9e07964f8dddeb95fc584cd965d	55.5
38	a5771bce93e200c36f7cd9dfd0e5deaa	57.0
39	d67d8ab4f4c10bf22aa353e27879133c	58.5
40	d645920e395fedad7bbbed0eca3fe2e0	60.0
\.


--
-- Name: s; Type: SEQUENCE SET; Schema: public; Owner: postgres
--

SELECT pg_catalog.setval('public.s', 1, false);


--
-- Name: item item_pkey; Type: CONSTRAINT; Schema: public; Owner: postgres
--

ALTER TABLE ONLY public.item
    ADD CONSTRAINT item_pkey PRIMARY KEY (id);


--
-- Name: item_name_idx; Type: INDEX; Schema: public; Owner: postgres
--

CREATE INDEX item_name_idx ON public.item USING btree (name);


--
-- PostgreSQL database dump complete
--

\unrestrict PHviY9OBEf10FeUKLAhjdKVllleTdpcCxbzBEW8sMBhNGHjN8KkN8dS3Mj73DV2

--
-- PostgreSQL database cluster dump complete
--

