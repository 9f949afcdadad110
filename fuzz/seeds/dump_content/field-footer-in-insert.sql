-- MySQL dump 10.13
INSERT INTO a VALUES
(1,'x')
/*!40103 SET TIME_ZONE=@OLD_TIME_ZONE */;

-- Dump completed on 2026-11-24  2:00:00
