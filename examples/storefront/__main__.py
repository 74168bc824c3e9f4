"""Start both services, a new database and the storefront: `python -m examples.storefront`."""

from __future__ import annotations

import argparse
from pathlib import Path
from tempfile import TemporaryDirectory

import uvicorn

from . import database
from .app import create_app
from .services import SERVICES, serving_apart

_NOBODY = "http://127.0.0.1:9"  # "discard", where nobody listens any more


def main() -> None:
    """Serve until Ctrl-C."""
    parser = argparse.ArgumentParser(prog="python -m examples.storefront", description=__doc__)
    parser.add_argument("--port", type=int, default=8000, help="0 takes a free one")
    parser.add_argument("--timeout", type=float, default=0.5, help="seconds that a page may take")
    parser.add_argument("--slow", choices=SERVICES, help="a service that takes 10 s to answer")
    parser.add_argument("--broken", choices=SERVICES, help="a service that answers 503")
    parser.add_argument(
        "--flaky", choices=SERVICES, help="a service that answers 503 every 3rd time"
    )
    parser.add_argument("--busy", choices=SERVICES, help="a service that answers 429")
    parser.add_argument("--down", choices=SERVICES, help="a service that nobody serves")
    args = parser.parse_args()
    accounts, recommendations = (
        serving_apart(
            name,
            delay=10.0 if name == args.slow else 0.0,
            status=503 if name in (args.broken, args.flaky) else 429 if name == args.busy else 200,
            every=3 if name == args.flaky else 1,
        )
        for name in SERVICES
    )
    with (
        TemporaryDirectory() as folder,
        accounts as accounts_url,
        recommendations as recommendations_url,
    ):
        path = Path(folder) / "orders.sqlite"
        database.create(path)
        app = create_app(
            accounts_url=_NOBODY if args.down == "accounts" else accounts_url,
            recommendations_url=_NOBODY if args.down == "recommendations" else recommendations_url,
            database_path=path,
            timeout=args.timeout,
        )
        uvicorn.run(app, port=args.port, ws="none", backlog=4096)


if __name__ == "__main__":
    main()
