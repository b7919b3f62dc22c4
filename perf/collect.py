"""Requests a second, and processor time of the client for each, against a server process of fixed latency.

Beside `openai` with asyncio.gather, the way most scripts do it, and `litellm`'s batch_completion, where they are
installed (`pip install openai litellm`). Ours writes every answer to a store on disk, keeps a ledger and paces itself;
the peers keep replies in memory. `--memory 100000` sends so many requests and prints the memory on the way.
The ratios are what may be quoted: a slow server process on the same machine slows down all of them.
"""

import argparse
import asyncio
import importlib.util
import os
import resource
import sys
import tempfile
import time
from collections.abc import Callable, Sequence
from pathlib import Path

from epigone.answers import kept_at
from epigone.backends.openai import OpenAI
from epigone.progress import listening
from epigone.records import Message, Prompt, SamplingParams

sys.path.insert(0, str(Path(__file__).parents[1] / "tests"))
from fault_server import running

ROUNDS = 3
LATENCY_SECONDS = 0.05
AMOUNTS = {1: 60, 32: 1_500, 256: 4_000}
"""Requests by concurrency."""
SAMPLING = SamplingParams(max_tokens=16, temperature=1.0)


class Prompts(Sequence[Prompt]):
    """Questions that are made when they are asked for, so that none lies in memory."""

    def __init__(self, number: int) -> None:
        self._number = number

    def __len__(self) -> int:
        return self._number

    def __getitem__(self, n: int) -> Prompt:
        if not 0 <= n < self._number:
            raise IndexError(n)
        return Prompt(f"p{n}", messages=(Message("user", f"What is the capital of the land number {n}?"),))


def ours(url: str, number: int, concurrency: int) -> int:
    with tempfile.TemporaryDirectory() as folder, kept_at(Path(folder), "perf"):
        model = OpenAI(url, "m", patience={"concurrency": concurrency})
        return sum(reply.completion is not None for reply in model.replies(Prompts(number), SAMPLING))


def with_openai(url: str, number: int, concurrency: int) -> int:
    import openai

    async def run() -> int:
        room = asyncio.Semaphore(concurrency)
        async with openai.AsyncOpenAI(base_url=url, api_key="none", max_retries=0) as client:

            async def ask(prompt: Prompt) -> bool:
                async with room:
                    messages = [{"role": "user", "content": prompt.messages[0].content}]
                    headers = {"x-client-request-id": f"{id(room)}-{prompt.id}"}
                    reply = await client.chat.completions.create(
                        model="m", messages=messages, max_tokens=16, temperature=1.0, extra_headers=headers
                    )
                    return bool(reply.choices[0].message.content)

            return sum(await asyncio.gather(*map(ask, Prompts(number))))

    return asyncio.run(run())


def with_litellm(url: str, number: int, concurrency: int) -> int:
    os.environ["LITELLM_LOCAL_MODEL_COST_MAP"] = "True"  # no look at the network
    import litellm

    litellm.suppress_debug_info = True
    messages = [[{"role": "user", "content": prompt.messages[0].content}] for prompt in Prompts(number)]
    asked = {"api_base": url, "api_key": "none", "max_tokens": 16, "max_workers": concurrency}
    replies = litellm.batch_completion(model="openai/m", messages=messages, **asked)
    return sum(bool(reply.choices[0].message.content) for reply in replies)


def measured(way: Callable[[str, int, int], int], url: str, number: int, concurrency: int) -> tuple[float, float]:
    """Requests a second, and processor milliseconds for each."""
    before, started = resource.getrusage(resource.RUSAGE_SELF), time.monotonic()
    assert way(url, number, concurrency) == number, "some requests got no answer"
    seconds, after = time.monotonic() - started, resource.getrusage(resource.RUSAGE_SELF)
    used = after.ru_utime + after.ru_stime - before.ru_utime - before.ru_stime
    return number / seconds, 1e3 * used / number


def compare(ways: dict[str, Callable[[str, int, int], int]]) -> None:
    for way in ways.values():  # what is loaded at first use is loaded now
        with running(check_ids=False) as url:
            way(url, 2, 2)
    for concurrency, number in AMOUNTS.items():
        best = dict.fromkeys(ways, (0.0, float("inf")))
        for _ in range(ROUNDS):
            for name, way in ways.items():
                with running(latency_seconds=LATENCY_SECONDS, check_ids=False) as url:
                    rate, milliseconds = measured(way, url, number, concurrency)
                best[name] = (max(best[name][0], rate), min(best[name][1], milliseconds))
        first = next(iter(best.values()))
        for name, (rate, milliseconds) in best.items():
            ratio = f"{first[0] / rate:.2f} x the rate, {milliseconds / first[1]:.2f} x less processor time"
            print(f"concurrency {concurrency:3}  {name:24} {rate:7.0f}/s  {milliseconds:6.2f} ms  (ours: {ratio})")


def watch_memory(number: int) -> None:
    """Memory of this process at every tenth of the requests."""
    page = resource.getpagesize()
    seen: dict[int, float] = {}

    def told(done: int, total: int, unit: str, note: str) -> None:
        if done * 10 // total not in seen and unit == "requests":
            seen[done * 10 // total] = int(Path("/proc/self/statm").read_text().split()[1]) * page / 2**20
            print(f"{done:7,} of {total:,} requests: {seen[done * 10 // total]:.1f} MiB", flush=True)

    with running(check_ids=False) as url, listening(told):
        assert ours(url, number, 256) == number
    print(f"from the first tenth to the last: {seen[9] - seen[1]:+.1f} MiB")


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--memory", type=int, metavar="REQUESTS", help="Watch the memory over so many requests.")
    arguments = parser.parse_args()
    if arguments.memory:
        return watch_memory(arguments.memory)
    peers = {"openai + asyncio.gather": ("openai", with_openai), "litellm.batch_completion": ("litellm", with_litellm)}
    ways = {"epigone": ours}
    for title, (package, way) in peers.items():
        if importlib.util.find_spec(package):
            ways[title] = way
        else:
            print(f"{package} is not installed: not in this run")
    return compare(ways)


if __name__ == "__main__":
    main()
