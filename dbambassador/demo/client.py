"""An application as one finds them: its database is on localhost, and it knows nothing else.

It writes and reads every 50 ms, and says in one line of JSON how each attempt went. It runs on its own, from
a file of its own, and is the same file in every environment.
"""

from __future__ import annotations

import json
import time

import psycopg

DSN = "host=localhost port=5432 user=shop dbname=shop"
RETRY = 0.05
"""Seconds between two attempts."""

READ = "SELECT count(*), current_setting('cluster_name') FROM orders"


def main() -> None:
    number = 0
    connection: psycopg.Connection[tuple[object, ...]] | None = None
    while True:
        number += 1
        attempt: dict[str, object] = {"number": number, "started": time.monotonic()}
        try:
            if connection is None:
                connection = psycopg.connect(DSN, autocommit=True)
            connection.execute("INSERT INTO orders (number) VALUES (%s)", [number])
            attempt["written"] = True
            attempt["rows"], attempt["server"] = connection.execute(READ).fetchone() or (0, "")
        except psycopg.Error as error:
            attempt["error"] = str(error).strip()
            if connection is not None:
                connection.close()
                connection = None
        attempt["ended"] = time.monotonic()
        print(json.dumps(attempt), flush=True)
        time.sleep(RETRY)


if __name__ == "__main__":
    main()
