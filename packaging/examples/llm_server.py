#!/usr/bin/env python3
"""A stand-in for a local LLM server: answers over HTTP, word by word.

Profile "generic-http" posts what the user said as text/plain and shows the body
of the answer as it comes, whatever made it. This one streams made-up tokens in
chunks of their own, as llama.cpp, Ollama or vLLM do; replace tokens() by a call
to one of them.

    python3 llm_server.py [PORT]        # prints the address, then serves

It keeps one conversation for each session: the runtime names the session, the
user and the message in X-Amurg-* headers.
"""

import sys
import time
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer

PAUSE = 0.02  # Between two tokens, in seconds.

turns = {}  # Of each session, how many questions it asked so far.


def tokens(session_id, question):
    """The answer, a word at a time."""
    turns[session_id] = turns.get(session_id, 0) + 1
    yield f"{turns[session_id]}."
    for word in question.split() or ["nothing"]:
        yield f" {word[::-1]}"
    yield "\n"


class Server(BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"

    def do_POST(self):
        length = int(self.headers.get("Content-Length", 0))
        question = self.rfile.read(length).decode("utf-8", "replace")
        session_id = self.headers.get("X-Amurg-Session-Id", "")
        self.send_response(200)
        self.send_header("Content-Type", "text/plain; charset=utf-8")
        self.send_header("Transfer-Encoding", "chunked")
        self.end_headers()
        try:
            for token in tokens(session_id, question):
                self.chunk(token.encode())
                time.sleep(PAUSE)
            self.chunk(b"")
        except (BrokenPipeError, ConnectionResetError):
            # The user pressed stop: the runtime cancels the request.
            self.close_connection = True

    def chunk(self, data):
        self.wfile.write(b"%x\r\n%s\r\n" % (len(data), data))
        self.wfile.flush()

    def log_message(self, *_):
        pass


if __name__ == "__main__":
    port = int(sys.argv[1]) if len(sys.argv) > 1 else 9000
    server = ThreadingHTTPServer(("127.0.0.1", port), Server)
    print(f"http://127.0.0.1:{server.server_port}/", flush=True)
    server.serve_forever()
