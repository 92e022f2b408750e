"""The devices of this node as an orchestrator needs them: each piece of hardware once, with its health and its place.

What the agents of clusters share: what there is (`inventory`, a pure function of specs, /sys and /dev), what changes
(`stock`), and gRPC over Unix sockets (`serving`). It knows no orchestrator and none of their messages.
"""
