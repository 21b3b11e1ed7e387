"""Anybody's files -> a catalogue: tables of any common kind, read by columns and told column by column."""
