"""Wire protocols without I/O: bytes in, batches of frames and replies out. RFC 5424's transports: RFC 6587, 5425, 5426, RELP.

Nothing here awaits, reads a clock or opens anything. Buffers belong to the caller (one per event loop); a session keeps only
its unfinished frame, as ``carry``. The caller's contract is the same for every protocol: put ``carry`` at the front of the
buffer, read behind it, and call ``receive(buffer, end)``.
"""
