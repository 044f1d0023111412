"""Tests of the measurements: that ways agree, and what is read and counted; no test asks how long anything takes."""
