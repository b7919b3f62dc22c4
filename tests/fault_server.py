"""A server process that speaks OpenAI's protocol and goes wrong by a seed that its client does not know.

It keeps a ledger of what it was asked and what it bills, by the client's id of each request; GET /ledger tells it. What
it answers depends on the messages alone. Run: python fault_server.py '{"seed": 1, "faults": 0.2}'; the first line that
it prints is its port. Sockets and bytes only, so that nothing stands between a fault and its client.
"""

import argparse
import asyncio
import hashlib
import json
import random
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from email.utils import format_datetime
from pathlib import Path

KINDS = (
    "429",
    "429 seconds",
    "429 milliseconds",
    "500",
    "503",
    "reset",
    "reset before",
    "stall",
    "malformed",
    "html",
    "error in 200",
)
UNBILLED = ("429", "429 seconds", "429 milliseconds", "429 date", "500", "503")


def answer_to(messages: object, max_tokens: int) -> str:
    """Some words that depend on what was asked, and are never more than were wanted."""
    digest = hashlib.sha256(json.dumps(messages).encode()).hexdigest()
    return " ".join(digest[i : i + 4] for i in range(0, min(4 * max_tokens, 4 * (1 + int(digest[0], 16))), 4))


@dataclass
class FaultServer:
    """The options, and what happened so far."""

    seed: int = 0
    faults: float = 0.0
    kinds: tuple[str, ...] = KINDS
    latency_seconds: float = 0.0
    at_once: int = 1000
    """Requests that are worked on at a time; the others wait, and those whose client is gone are worked on too."""
    stall_seconds: float = 5.0
    key: str = ""
    usage: bool = True
    check_ids: bool = True
    """Whether each request must have an id of its own; clients that send none are not told apart in the ledger."""
    looks: int = 1
    files: dict[str, str] = field(default_factory=dict)
    batches: dict[str, dict] = field(default_factory=dict)
    ledger: dict[str, dict[str, object]] = field(default_factory=dict)
    in_flight: int = 0
    most_in_flight: int = 0
    num_connections: int = 0

    def __post_init__(self) -> None:
        self.draw = random.Random(self.seed)
        self.workers = asyncio.Semaphore(self.at_once)

    async def serve(self) -> None:
        server = await asyncio.start_server(self.connection, "127.0.0.1", 0, backlog=1024)
        print(server.sockets[0].getsockname()[1], flush=True)
        await server.serve_forever()

    async def connection(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        self.num_connections += 1
        try:
            while head := await reader.readuntil(b"\r\n\r\n"):
                first, *lines = head.decode().rstrip().split("\r\n")
                headers = {k.lower(): v.strip() for k, _, v in (line.partition(":") for line in lines)}
                body = await reader.readexactly(int(headers.get("content-length", 0)))
                self.in_flight += 1
                self.most_in_flight = max(self.most_in_flight, self.in_flight)
                try:
                    await self.request(first.split()[1], headers, body, writer)
                finally:
                    self.in_flight -= 1
        except (asyncio.IncompleteReadError, ConnectionError):
            pass
        finally:
            writer.close()

    async def request(self, path: str, headers: dict[str, str], body: bytes, writer: asyncio.StreamWriter) -> None:
        if path == "/ledger":
            told = {"ledger": self.ledger, "most_in_flight": self.most_in_flight, "connections": self.num_connections}
            return await send(writer, 200, json.dumps(told))
        if path.startswith(("/v1/files", "/v1/batches")):
            return await send(writer, 200, self.batch(path, body))
        if self.key and headers.get("authorization") != f"Bearer {self.key}":
            said = f"Incorrect API key provided: {headers.get('authorization')}"
            return await send(writer, 401, json.dumps({"error": {"message": said}}))
        asked = json.loads(body)
        messages = asked.get("messages") or asked["prompt"]
        entry: dict[str, object] = {"asked": json.dumps(messages), "billed": None, "fault": ""}
        request_id = headers.get("x-client-request-id", "")
        assert not self.check_ids or request_id not in self.ledger, "an id was used twice"
        self.ledger[request_id] = entry
        async with self.workers:
            await asyncio.sleep(self.latency_seconds)
        said = str(messages[-1]["content"] if isinstance(messages, list) else messages)
        if "[refuse]" in said:  # some servers repeat the whole request in what they complain of
            return await send(writer, 400, json.dumps({"error": f"not for {headers.get('authorization')}"}))
        reply = self.reply(asked, messages, said)
        kind = self.draw.choice(self.kinds) if self.draw.random() < self.faults else ""
        entry["fault"] = kind
        # a server may or may not bill what it could not deliver
        if not kind or (kind not in UNBILLED and self.draw.random() < 0.5):
            entry["billed"] = [len(said.split()) + 8, len(reply["choices"][0]["message"]["content"].split())]
        await (self.go_wrong(kind, reply, writer) if kind else self.send_reply(asked, reply, writer))

    def batch(self, path: str, body: bytes) -> str:
        """The endpoints of batches: each is in progress when it is looked at first, its every tenth request fails."""
        _, _, kind, *rest = path.split("/")
        if kind == "files" and not rest:
            content = next(part for part in body.split(b"\r\n\r\n") if part.startswith(b"{")).partition(b"\r\n--")[0]
            self.files[f"file-{len(self.files)}"] = content.decode()
            return json.dumps({"id": f"file-{len(self.files) - 1}"})
        if kind == "files":
            return self.files[rest[0]]
        if not rest:
            order = json.loads(body)
            self.batches[f"batch-{len(self.batches)}"] = {"id": f"batch-{len(self.batches)}", "looks": 0, **order}
            return json.dumps(self.batches[f"batch-{len(self.batches) - 1}"])
        batch = self.batches[rest[0]]
        batch["looks"] += 1
        if batch["looks"] <= self.looks:
            return json.dumps(batch | {"status": "in_progress", "request_counts": {"completed": 1, "total": 2}})
        if "output_file_id" not in batch:
            rows = [json.loads(line) for line in self.files[batch["input_file_id"]].splitlines()]
            self.files[f"out-{batch['id']}"] = "".join(self.answered(row, n) for n, row in enumerate(rows))
            batch |= {"output_file_id": f"out-{batch['id']}"}
        return json.dumps(batch | {"status": "completed"})

    def answered(self, row: dict, number: int) -> str:
        messages = row["body"]["messages"]
        said = messages[-1]["content"]
        entry = {"asked": json.dumps(messages), "billed": None, "fault": ""}
        self.ledger[row["custom_id"]] = entry
        if number % 10 == 9:
            response = {"status_code": 500, "body": {"error": {"message": "no"}}}
            return json.dumps({"custom_id": row["custom_id"], "response": response}) + "\n"
        reply = self.reply(row["body"], messages, said)
        entry["billed"] = [reply["usage"]["prompt_tokens"], reply["usage"]["completion_tokens"]]
        return json.dumps({"custom_id": row["custom_id"], "response": {"status_code": 200, "body": reply}}) + "\n"

    def reply(self, asked: dict[str, object], messages: object, said: str) -> dict[str, object]:
        content = answer_to(messages, asked.get("max_tokens", 16))
        reason = "length" if "[cut]" in said else "content_filter" if "[filter]" in said else "stop"
        message = {"role": "assistant", "content": "" if "[empty]" in said else content}
        if "[think]" in said:
            message["content"] = f"<think>\nlet me see\n</think>\n\n{content}"
        reply = {
            "id": "always-the-same",
            "model": "served-model",
            "system_fingerprint": "fp",
            "choices": [{"index": 0, "message": message, "finish_reason": reason}],
        }
        usage = {"prompt_tokens": len(said.split()) + 8, "completion_tokens": len(message["content"].split())}
        return reply | ({"usage": usage} if self.usage else {})

    async def send_reply(
        self, asked: dict[str, object], reply: dict[str, object], writer: asyncio.StreamWriter
    ) -> None:
        if not asked.get("stream"):
            return await send(writer, 200, json.dumps(reply))
        choice = reply["choices"][0]
        pieces = [{"choices": [{"index": 0, "delta": {"role": "assistant", "content": ""}, "finish_reason": None}]}]
        for word in choice["message"]["content"].split(" "):
            space = "" if len(pieces) == 1 else " "
            pieces.append({"choices": [{"index": 0, "delta": {"content": space + word}, "finish_reason": None}]})
        pieces.append({"choices": [{"index": 0, "delta": {}, "finish_reason": choice["finish_reason"]}]})
        pieces.append({"choices": [], "usage": reply.get("usage")})
        shared = {name: reply[name] for name in ("id", "model", "system_fingerprint")}
        lines = [f"data: {json.dumps(shared | piece)}\n\n" for piece in pieces]
        await send(writer, 200, ": hello\n\n" + "".join(lines) + "data: [DONE]\n\n", kind="text/event-stream")

    async def go_wrong(self, kind: str, reply: dict[str, object], writer: asyncio.StreamWriter) -> None:
        text = json.dumps(reply)
        if kind.startswith("429"):
            soon = format_datetime(datetime.now(UTC) + timedelta(seconds=1), usegmt=True)
            waits = {"429 seconds": {"Retry-After": "0.05"}, "429 milliseconds": {"Retry-After-Ms": "20"}}
            more = waits.get(kind, {"Retry-After": soon} if kind == "429 date" else {})
            await send(writer, 429, json.dumps({"object": "error", "message": "slow down"}), more=more)
        elif kind == "500":
            await send(writer, 500, "Internal Server Error", kind="text/plain")
        elif kind == "503":
            await send(writer, 503, json.dumps({"error": {"code": 503, "message": "Loading model"}}))
        elif kind in ("reset", "stall"):
            writer.write(head(200, len(text)) + text[: len(text) // 2].encode())
            await writer.drain()
            if kind == "stall":
                await asyncio.sleep(self.stall_seconds)
            writer.transport.abort()
        elif kind == "reset before":
            writer.transport.abort()
        elif kind == "malformed":
            await send(writer, 200, text[: len(text) // 2])
        elif kind == "html":
            await send(writer, 200, "<html><body>Bad gateway</body></html>", kind="text/html")
        else:
            await send(writer, 200, json.dumps({"error": {"message": "overloaded", "code": 502}}))


def head(status: int, length: int, kind: str = "application/json", more: dict[str, str] | None = None) -> bytes:
    lines = {"Content-Type": kind, "Content-Length": str(length)} | (more or {})
    return "\r\n".join([f"HTTP/1.1 {status} X", *(f"{k}: {v}" for k, v in lines.items()), "", ""]).encode()


async def send(
    writer: asyncio.StreamWriter,
    status: int,
    text: str,
    *,
    kind: str = "application/json",
    more: dict[str, str] | None = None,
) -> None:
    content = text.encode()
    writer.write(head(status, len(content), kind, more) + content)
    await writer.drain()


@contextmanager
def running(**options: object) -> Iterator[str]:
    """The server in a process of its own; gives its base URL."""
    command = [sys.executable, str(Path(__file__)), json.dumps(options)]
    process = subprocess.Popen(command, stdout=subprocess.PIPE, text=True)
    assert process.stdout
    try:
        yield f"http://127.0.0.1:{int(process.stdout.readline())}/v1"
    finally:
        process.kill()
        process.wait()
        process.stdout.close()


def main() -> None:
    parser = argparse.ArgumentParser()
    parser.add_argument("options", type=json.loads)
    asyncio.run(FaultServer(**parser.parse_args().options).serve())


if __name__ == "__main__":
    main()
