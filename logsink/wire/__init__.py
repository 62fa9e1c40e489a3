"""Wire protocols without I/O: bytes in; batches of frames, replies and actions out.

- What every read of a connection gives: ``batch``.
- Syslog over a byte stream (RFC 6587, 5425): ``framing``; over UDP (RFC 5426): ``datagrams``.
- RELP: ``relp``; which frames a client has sent again after a broken session: ``resend``.
- What may stand before the frames: ``opening`` puts in order what ``proxy`` (PROXY header), ``foreign`` (protocols that do not
  belong on the port) and ``inflate`` (compression) recognise.

Nothing here awaits, reads a clock, or opens anything, and no byte that a peer sends raises an exception. Buffers belong to the
caller, one for each event loop; a session keeps only its unfinished frame, as ``carry``. The contract is the same for TCP and
RELP: put ``carry`` at the front of the buffer, read behind it, and call ``receive(buffer, end)``.
"""
