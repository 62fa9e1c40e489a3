"""The journal: segments that no table commit covers yet. Frames enter as batches; what leaves is "stored up to here".

Writes ``journal/<receiver>/<lane>/<sequence>.arrow`` and reads them back; never parses a frame, never touches the table.
"""
