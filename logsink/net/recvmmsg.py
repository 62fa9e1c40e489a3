"""``recvmmsg(2)``, which Python does not offer: many datagrams of one socket by one system call."""

from __future__ import annotations

import ctypes
import errno
import os
import socket

import numpy as np
import numpy.typing as npt


class _Vector(ctypes.Structure):
    """``struct iovec``."""

    _fields_ = [("base", ctypes.c_void_p), ("length", ctypes.c_size_t)]


class _Message(ctypes.Structure):
    """``struct msghdr`` of recvmsg(2)."""

    _fields_ = [
        ("name", ctypes.c_void_p),
        ("name_length", ctypes.c_uint32),
        ("vectors", ctypes.c_void_p),
        ("vector_count", ctypes.c_size_t),
        ("control", ctypes.c_void_p),
        ("control_length", ctypes.c_size_t),
        ("flags", ctypes.c_int),
    ]


class _Header(ctypes.Structure):
    """``struct mmsghdr`` of recvmmsg(2)."""

    _fields_ = [("message", _Message), ("length", ctypes.c_uint32)]


class ManyDatagrams:
    """A place for each datagram of one call: its bytes, and the address of its sender.

    slots      uint8[n * size]  datagram i is written to ``slots[i * size:]``
    addresses  int32[n, words]  its sender's ``sockaddr`` is written to row i; what it does not fill keeps its old content
    lengths    uint32[n]        after ``receive``: bytes of datagram i

    The arrays belong to the caller and must live as long as this.
    """

    def __init__(self, slots: npt.NDArray[np.uint8], addresses: npt.NDArray[np.int32]) -> None:
        self._count = count = len(addresses)
        self._kept = slots, addresses
        self._vectors, self._headers = (_Vector * count)(), (_Header * count)()
        size, name_size = len(slots) // count, addresses.strides[0]
        for number, (vector, header) in enumerate(zip(self._vectors, self._headers, strict=True)):
            vector.base, vector.length = slots.ctypes.data + number * size, size
            header.message.name = addresses.ctypes.data + number * name_size
            header.message.vectors, header.message.vector_count = ctypes.addressof(vector), 1
        words = np.frombuffer(memoryview(self._headers).cast("B"), np.uint32).reshape(count, -1)
        self._name_size, self._name_lengths = name_size, words[:, _Message.name_length.offset // 4]
        self.lengths = words[:, _Header.length.offset // 4]
        self._recvmmsg = ctypes.CDLL(None, use_errno=True).recvmmsg

    def receive(self, descriptor: int) -> int:
        """Take what the kernel has for a socket without waiting, and return how many datagrams that were.

        ``OSError``: the socket cannot be read.
        """
        self._name_lengths[:] = self._name_size  # the kernel replaces it by the length of what it wrote
        count: int = self._recvmmsg(descriptor, self._headers, self._count, socket.MSG_DONTWAIT, None)
        if count >= 0:
            return count
        code = ctypes.get_errno()
        if code in (errno.EAGAIN, errno.EINTR):
            return 0
        raise OSError(code, os.strerror(code))
