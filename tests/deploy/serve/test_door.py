"""Nobody comes in after the door is shut, and whoever waits at it is let in."""

from __future__ import annotations

import select
import socket
import sys

import pytest

from maskfork.deploy.serve.door import admit_no_more


@pytest.mark.skipif(sys.platform != "linux", reason="elsewhere one more may come in")
def test_who_waits_is_let_in_and_nobody_else() -> None:
    with socket.create_server(("127.0.0.1", 0), backlog=16) as door:
        waiting = [socket.create_connection(door.getsockname()[:2], timeout=5) for _ in range(5)]
        for number, client in enumerate(waiting):
            client.sendall(b"%d" % number)
        admit_no_more(door)
        late = socket.socket()
        late.settimeout(0.2)
        with late, pytest.raises(TimeoutError):
            late.connect(door.getsockname()[:2])
        asked = []
        while select.select([door], [], [], 0)[0]:
            taken, _ = door.accept()
            with taken:
                asked.append(taken.recv(10))
                taken.sendall(b"answered " + asked[-1])
        assert sorted(asked) == [b"0", b"1", b"2", b"3", b"4"]
    for number, client in enumerate(waiting):
        with client:
            assert client.recv(100) == b"answered %d" % number
