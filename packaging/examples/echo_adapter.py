#!/usr/bin/env python3
"""An adapter for Amurg Runtime: says what it hears, and shows the whole protocol.

An adapter is any program that reads JSON from stdin and writes JSON to stdout,
one object per line. Every message has a "type" and a "session_id"; one adapter
may serve many sessions. What it writes to stderr goes into the runtime's log.

    "endpoints": [{
      "id": "echo", "profile": "external",
      "external": {"command": "/opt/agents/echo_adapter.py"}
    }]

Replace answer() by something cleverer.
"""

import json
import os
import sys
import tempfile


def say(kind, session_id, **fields):
    """Writes one message. Flushed at once: a pipe would keep it back."""
    print(json.dumps({"type": kind, "session_id": session_id, **fields}), flush=True)


def answer(session_id, text, state):
    """Answers one message; returns whether the turn is over."""
    if text.startswith("ask "):
        # The turn stays open until permission.response comes.
        state["asked"] += 1
        say(
            "permission.request",
            session_id,
            request_id=str(state["asked"]),
            tool="Shout",
            description="Say it in capitals",
            resource=text[4:],
        )
        state["pending"] = text[4:]
        return False
    if text.startswith("file "):
        path = os.path.join(tempfile.mkdtemp(), "answer.txt")
        with open(path, "w", encoding="utf-8") as file:
            file.write(text[5:])
        say("file.output", session_id, file_path=path)
        return True
    if text == "wait":
        # Nothing more until stop comes.
        return False
    say("output", session_id, content=f"{state['user']} said: {text}\n")
    return True


def main():
    sessions = {}
    for line in sys.stdin:
        message = json.loads(line)
        kind, session_id = message["type"], message["session_id"]
        if kind == "session.start":
            sessions[session_id] = {"user": message["user_id"], "asked": 0, "pending": None}
            continue
        state = sessions[session_id]
        if kind == "user.input":
            if answer(session_id, message["content"], state):
                say("turn.complete", session_id, exit_code=0)
        elif kind == "permission.response":
            text, state["pending"] = state["pending"], None
            content = text.upper() if message["approved"] else "(not allowed)"
            say("output", session_id, content=content + "\n")
            say("turn.complete", session_id, exit_code=0)
        elif kind == "file.input":
            size = os.path.getsize(message["file_path"])
            say("output", session_id, content=f"got {message['file_name']}, {size} bytes\n")
        elif kind == "stop":
            say("output", session_id, channel="system", content="stopped")
            say("turn.complete", session_id)
        elif kind == "session.close":
            del sessions[session_id]


if __name__ == "__main__":
    main()
