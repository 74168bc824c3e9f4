"""Send many requests at once: `python -m examples.storefront.load http://127.0.0.1:8000`."""

from __future__ import annotations

import argparse
import asyncio
import time
from collections import Counter
from typing import NamedTuple
from urllib.parse import urlsplit


class Answer(NamedTuple):
    """What came back for one request.

    Attributes:
        status: The HTTP status; 0 if the request was lost.
        text: The body.
        took: Seconds from the first byte sent to the last one received.
    """

    status: int
    text: str
    took: float

    @property
    def is_partial(self) -> bool:
        """Whether it is a page that came without tips."""
        return self.status == 200 and self.text.endswith("<ul></ul></html>")


async def fire(url: str, path: str, count: int, at_once: int) -> list[Answer]:
    """Send requests, each on a connection of its own; all connections are made before.

    Args:
        url: Of the storefront.
        path: Of the page.
        count: How many requests.
        at_once: How many at the same time.
    """
    parts = urlsplit(url)
    request = f"GET {path} HTTP/1.1\r\nHost: {parts.netloc}\r\nConnection: close\r\n\r\n".encode()
    answers: list[Answer] = []

    async def send(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        start = time.perf_counter()
        try:
            writer.write(request)
            head, _, body = (await reader.read()).partition(b"\r\n\r\n")
            status = int(head.split(b" ", 2)[1]) if head else 0
            answers.append(Answer(status, body.decode(), time.perf_counter() - start))
        except OSError:
            answers.append(Answer(0, "", time.perf_counter() - start))
        finally:
            writer.close()

    while count > 0:
        some = [asyncio.open_connection(parts.hostname, parts.port) for _ in range(at_once)]
        pairs = await asyncio.gather(*some[:count])
        for left_over in some[count:]:
            left_over.close()
        await asyncio.gather(*[send(*pair) for pair in pairs])
        count -= at_once
    return answers


def report(answers: list[Answer], deadline: float) -> str:
    """Return what became of the requests, in a few lines."""
    took = sorted(answer.took for answer in answers)
    statuses = Counter(answer.status or "lost" for answer in answers)
    late = sum(each > deadline + 0.05 for each in took)
    return (
        f"{len(answers)} requests: {dict(statuses)}, "
        f"{sum(each.is_partial for each in answers)} partial\n"
        f"took {took[len(took) // 2]:.3f} s in the middle, {took[-1]:.3f} s at most; "
        f"{late} later than the deadline of {deadline} s plus 50 ms"
    )


def main() -> None:
    """Print a report."""
    parser = argparse.ArgumentParser(prog="python -m examples.storefront.load", description=__doc__)
    parser.add_argument("url")
    parser.add_argument("--count", type=int, default=200)
    parser.add_argument("--at-once", type=int, default=200)
    parser.add_argument("--deadline", type=float, default=0.5, help="that the storefront has")
    args = parser.parse_args()
    answers = asyncio.run(fire(args.url, "/users/1", args.count, args.at_once))
    print(report(answers, args.deadline))


if __name__ == "__main__":
    main()
