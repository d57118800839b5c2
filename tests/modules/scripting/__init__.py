"""Tests of scripts in Lua: real VMs in real processes."""
