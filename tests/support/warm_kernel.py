"""Kernels that start at once: forks of a process that has imported what takes seconds, but used none of it.

As a program, `python warm_kernel.py serve SOCKET` is that process. `python warm_kernel.py ask SOCKET FILE` is what
Jupyter takes for the kernel of a connection file: it asks for a fork, passes signals on to it, and ends with it.
"""

from __future__ import annotations

import json
import os
import signal
import socket
import sys
import threading
from importlib import import_module

#: Not what looks for a notebook when it is imported: matplotlib, plotly and ipywidgets.
IMPORTED = ("ipykernel.kernelapp", "torchvision", "pandas", "scipy.stats", "sklearn.manifold")


def serve(address: str) -> None:
    """Fork a kernel for each one who asks, until the process is ended; the socket is there when all is imported."""
    for name in IMPORTED:
        import_module(name)
    listener = socket.socket(socket.AF_UNIX)
    listener.bind(address)
    listener.listen()
    signal.signal(signal.SIGCHLD, signal.SIG_IGN)  # nobody asks how a kernel ended
    while True:
        asker, _ = listener.accept()
        if os.fork() == 0:
            listener.close()
            signal.signal(signal.SIGCHLD, signal.SIG_DFL)
            become_kernel(asker)
            return
        asker.close()


def become_kernel(asker: socket.socket) -> None:
    """A kernel as one who asks wants it; it ends when that one does."""
    asked = json.loads(asker.makefile().readline())
    os.environ.clear()
    os.environ.update(asked["environment"])
    os.chdir(asked["folder"])
    asker.sendall(f"{os.getpid()}\n".encode())
    threading.Thread(target=lambda: (asker.recv(1), os._exit(1)), daemon=True).start()
    app = import_module("ipykernel.kernelapp").IPKernelApp
    app.launch_instance(["-f", asked["file"]])


def ask(address: str, file: str) -> None:
    """Be the kernel of a connection file, by a fork."""
    with socket.socket(socket.AF_UNIX) as server, server.makefile() as answers:
        server.connect(address)
        asked = {"environment": dict(os.environ), "folder": os.getcwd(), "file": file}
        server.sendall(json.dumps(asked).encode() + b"\n")
        kernel = int(answers.readline())
        for number in (signal.SIGINT, signal.SIGTERM):
            signal.signal(number, lambda number, _: os.kill(kernel, number))
        answers.read()


if __name__ == "__main__":
    del sys.path[0]  # of this file, which no notebook has
    {"serve": serve, "ask": ask}[sys.argv[1]](*sys.argv[2:])
