"""The two edges: bytes on sockets to whole requests and answers, and back. HTTP/1.1 and nothing else.

server      a listening socket; connection: one client; gate: what connections share; responder: the answer
client      pooled connections to providers; dial: reaching them; inflate: answers compressed unasked
framing     what a request may look like; chunks: bodies in chunks
turn        one write for everything that one readable batch brought
limits      every limit, with its unit; loop: which event loop, and the socket to listen on

Both are protocols called by the event loop, straight from one socket to the other: no task and no timer
for a call. Nothing here knows what a call is, or reads a body.
"""
