"""The fault matrix: what a client sees of each fault, measured against goals.

A `Scenario` says what breaks and what is expected; `play` plays it on a `Stage`: hosts of their own for the
application, the databases and the nameservers, real servers, one `dbambassador run`, and client loops. What
was seen is judged by `verdict`. Nothing here knows the inside of the product: it is driven by its command
line, its environment file and localhost, and read by its log and its status.

To add a row, add a `Scenario` to one of the modules of `rows`. To run one:
`python -m tests.bench faults --only NAME`.
"""
