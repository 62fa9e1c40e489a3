"""The archive: segments in; Parquet files and commits of a standard Delta table out, each row exactly once. And its upkeep.

``rounds`` turns segments into one commit: ``file`` writes data files, ``log`` commits, ``snapshot`` reads the table back.
``archiver`` does that for what this process receives, ``adopt`` for what receivers that are gone have left, ``maintain`` writes
checkpoints and removes what nobody committed. Frames come from the journal or from memory; nothing here touches a socket.
"""
