"""A chat server in this process that answers as a test tells it to, and keeps what it was asked."""

from __future__ import annotations

import json
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any


@dataclass
class Reply:
    """What comes back: a status, what it holds, and how long it takes."""

    content: Any
    """Text of the assistant, or the whole body where it is no text."""
    status: int = 200
    seconds: float = 0.0
    headers: dict[str, str] = field(default_factory=dict)
    logprobs: dict[str, float] | None = None


def verdict(score: float = 0.9, approved: bool = True, reason: str = "as it should") -> Reply:
    return Reply(json.dumps({"reason": reason, "score": score, "approved": approved}))


def again(status: int) -> Reply:
    """A refusal for a while, which is over at once."""
    return Reply({"error": {"message": "slow down"}}, status, headers={"retry-after-ms": "1"})


@dataclass
class ChatServer:
    """`reply` says what is answered to a body, and to how many requests there were before."""

    reply: Callable[[dict[str, Any], int], Reply] = lambda body, before: verdict()
    url: str = ""
    bodies: list[dict[str, Any]] = field(default_factory=list)
    headers: list[dict[str, str]] = field(default_factory=list)
    most_at_once: int = 0
    now: int = 0
    lock: threading.Lock = field(default_factory=threading.Lock)

    @property
    def told(self) -> list[str]:
        """What the user's message of each request said."""
        return [body["messages"][-1]["content"] for body in self.bodies]

    def answer(self, body: dict[str, Any], headers: dict[str, str]) -> Reply:
        with self.lock:
            before = len(self.bodies)
            self.bodies.append(body)
            self.headers.append(headers)
            self.now += 1
            self.most_at_once = max(self.most_at_once, self.now)
        reply = self.reply(body, before)
        time.sleep(reply.seconds)
        with self.lock:
            self.now -= 1
        return reply


def completion(body: dict[str, Any], reply: Reply) -> Any:
    """A reply's body, in the words of the protocol."""
    if not isinstance(reply.content, str):
        return reply.content
    choice: dict[str, Any] = {
        "index": 0,
        "finish_reason": "stop",
        "message": {"role": "assistant", "content": reply.content},
    }
    if reply.logprobs is not None:
        top = [{"token": token, "logprob": p, "bytes": None} for token, p in reply.logprobs.items()]
        choice["logprobs"] = {"content": [{**top[0], "top_logprobs": top}]}
    return {
        "id": "1",
        "object": "chat.completion",
        "created": 0,
        "model": f"{body['model']}-2026",
        "choices": [choice],
        "usage": {"prompt_tokens": 100, "completion_tokens": 10, "total_tokens": 110},
    }


def events(body: dict[str, Any], reply: Reply) -> bytes:
    """The same in one piece of a stream, for a client that asks for one."""
    whole = completion(body, reply)
    (choice,) = whole["choices"]
    piece = {"index": 0, "finish_reason": "stop", "delta": choice["message"]}
    chunk = {**whole, "object": "chat.completion.chunk", "choices": [piece]}
    return f"data: {json.dumps(chunk)}\n\ndata: [DONE]\n\n".encode()


@contextmanager
def serving() -> Iterator[ChatServer]:
    """A server at work on a free port."""
    told = ChatServer()

    class Handler(BaseHTTPRequestHandler):
        def do_POST(self) -> None:
            body = json.loads(self.rfile.read(int(self.headers["Content-Length"])))
            reply = told.answer(body, {name.lower(): said for name, said in self.headers.items()})
            streamed = bool(body.get("stream")) and isinstance(reply.content, str)
            kind = "text/event-stream" if streamed else "application/json"
            sent = events(body, reply) if streamed else json.dumps(completion(body, reply)).encode()
            try:
                self.send_response(reply.status)
                for name, value in {"Content-Type": kind, **reply.headers}.items():
                    self.send_header(name, value)
                self.send_header("Content-Length", str(len(sent)))
                self.end_headers()
                self.wfile.write(sent)
            except OSError:
                pass  # nobody waits for it any longer

        def log_message(self, format: str, *args: object) -> None:
            pass

    server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    server.daemon_threads = True
    told.url = f"http://127.0.0.1:{server.server_port}/v1"
    thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.05})
    thread.start()
    try:
        yield told
    finally:
        server.shutdown()
        thread.join()
        server.server_close()
