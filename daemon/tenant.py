"""What one session has in a worker. Every id is looked up here, within the session, and only here:
another session's id is answered exactly as one that does not exist."""

from dataclasses import dataclass, field

from inferd.daemon.bound_request import BoundRequest
from inferd.daemon.models import ModelEntry
from inferd.shm.errors import NotFound
from inferd.shm.segment import Segment


@dataclass(eq=False)
class Tenant:
    session: int
    segments: dict[int, Segment] = field(default_factory=dict)
    models: dict[int, ModelEntry] = field(default_factory=dict)
    requests: dict[int, BoundRequest] = field(default_factory=dict)

    def model(self, model: int) -> ModelEntry:
        if model not in self.models:
            raise NotFound(f"this session has no model {model} on this device")
        return self.models[model]

    def request(self, request: int) -> BoundRequest:
        if request not in self.requests:
            raise NotFound(f"this session has no request {request} on this device")
        return self.requests[request]
