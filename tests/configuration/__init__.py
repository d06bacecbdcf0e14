"""Tests of configuration: files, environment, arguments."""
