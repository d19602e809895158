"""Entries that mean harm, each beside a harmless twin."""
