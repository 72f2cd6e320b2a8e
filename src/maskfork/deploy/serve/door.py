"""Shutting the door: a listening socket that lets nobody in any more keeps those who are in its queue."""

from __future__ import annotations

import ctypes
import os
import socket
import struct
import sys

SO_ATTACH_FILTER = 26  # of Linux's socket(7); Python has no name for it
DROP = struct.pack("HBBI", 0x06, 0, 0, 0)  # struct sock_filter: BPF_RET | BPF_K, 0: of every packet nothing is kept


def admit_no_more(listening: socket.socket) -> None:
    """From now on nobody's connection comes into being here; those that wait to be taken can be.

    To close a listening socket resets whoever is in its queue, with the request that they have sent already. On Linux a filter
    drops what comes to it; elsewhere its queue is made as short as can be, and one may still be in it.
    """
    with socket.socket(fileno=os.dup(listening.fileno())) as same:  # uvloop's own has no such methods
        if sys.platform == "linux":
            program = ctypes.create_string_buffer(DROP, len(DROP))
            same.setsockopt(socket.SOL_SOCKET, SO_ATTACH_FILTER, struct.pack("HP", 1, ctypes.addressof(program)))
        else:
            same.listen(0)
