--
-- PostgreSQL database dump
--


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
-- Name: f(); Type: FUNCTION; Schema: public; Owner: postgres
--

CREATE FUNCTION public.f() RETURNS integer
    LANGUAGE sql
    AS $$select 1$$;


ALTER FUNCTION public.f() OWNER TO postgres;

SET default_tablespace = '';

SET default_table_access_method = heap;

--
-- Name: empty; Type: TABLE; Schema: public; Owner: postgres
--

CREATE TABLE public.empty (
    a integer
);


ALTER TABLE public.empty OWNER TO postgres;

--
-- Name: item; Type: TABLE; Schema: public; Owner: postgres
--

CREATE TABLE public.item (
    id integer NOT NULL,
    name text NOT NULL,
    price numeric
);


ALTER TABLE public.item OWNER TO postgres;

--
-- Name: TABLE item; Type: COMMENT; Schema: public; Owner: postgres
--

COMMENT ON TABLE public.item IS 'Ware';


--
-- Name: s; Type: SEQUENCE; Schema: public; Owner: postgres
--

CREATE SEQUENCE public.s
    START WITH 1
    INCREMENT BY 1
    NO MINVALUE
    NO MAXVALUE
    CACHE 1;


ALTER TABLE public.s OWNER TO postgres;

--
-- Name: v; Type: VIEW; Schema: public; Owner: postgres
--

CREATE VIEW public.v AS
 SELECT item.name
   FROM public.item;


ALTER TABLE public.v OWNER TO postgres;

--
-- Data for Name: empty; Type: TABLE DATA; Schema: public; Owner: postgres
--

COPY public.empty (a) FROM stdin;
\.


--
-- Data for Name: item; Type: TABLE DATA; Schema: public; Owner: postgres
--

COPY public.item (id, name, price) FROM stdin;
1	c4ca4238a0b923820dcc509a6f75849b	1.5
2	c81e728d9d4c2f636f067f89cc14862c	3.0
3	eccbc87e4b5ce2fe28308fd9f2a7baf3	4.5
4	a87ff679a2f3e71d9181a67b7542122c	6.0
5	e4da3b7fbbce2345d7772b0674a318d5	7.5
6	1679091c5a880faf6fb5e6087eb1b2dc	9.0
7	8f14e45fceea167a5a36dedd4bea2543	10.5
8	c9f0f895fb98ab9159f51fd0297e236d	12.0
9	45c48cce2e2d7fbdea1afc51c7c6ad26	13.5
10	d3d9446802a44259755d38e6d163e820	15.0
11	6512bd43d9caa6e02c990b0a82652dca	16.5
12	c20ad4d76fe97759aa27a0c99bff6710	18.0
13	c51ce410c124a10e0db5e4b97fc2af39	19.5
14	aab3238922bcc25a6f606eb525ffdc56	21.0
15	9bf31c7ff062936a96d3c8bd1f8f2ff3	22.5
16	c74d97b01eae257e44aa9d5bade97baf	24.0
17	70efdf2ec9b086079795c442636b55fb	25.5
18	6f4922f45568161a8cdf4ad2299f6d23	27.0
19	1f0e3dad99908345f7439f8ffabdffc4	28.5
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


