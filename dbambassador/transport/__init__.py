"""Dialling, and a small HTTP leaf."""
