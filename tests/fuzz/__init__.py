"""Fuzzing: every parser of what others say, against mutations of what real ones said.

A `Target` feeds one parser and states what it may raise, how long it may take and how much it may keep; all
of them stand in `registry`. A `Campaign` makes inputs from a target's seeds and keeps those that reach new
lines; `execution` runs one of them and tells what went wrong. Tests run a short, seeded part of each;
`make bench BENCH=fuzz` goes on for ten minutes; `python -m tests.fuzz TARGET --replay HEX` shows one input.

The engine is ours and small: coverage comes from the interpreter's own tracing, so that it needs nothing that
Python does not bring, and runs inside an ordinary test.
"""
