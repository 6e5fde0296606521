"""What a service refuses, as problems of RFC 9457: a title and a remedy, nothing of the request."""

import json
from dataclasses import dataclass, field
from typing import Any

TYPE = "application/problem+json"


@dataclass(frozen=True)
class Fault:
    """One kind of problem.

    Attributes:
        status: Status of HTTP.
        title: Fault, a sentence without full stop.
        remedy: Remedy for the sender, a sentence.
    """

    status: int
    title: str
    remedy: str


FAULTS = {
    "host.unknown": Fault(400, "The request is for a host that this service is not",
                          "Use the service's own address, or start it with --allow-host."),
    "request.invalid": Fault(400, "The request is not valid HTTP",
                             "Send a valid request of HTTP/1.1."),
    "deadline.invalid": Fault(400, "The deadline is not a number within the limits",
                              "Send deadline_ms within the limits that /v1/model shows."),
    "frame.invalid": Fault(400, "The frame is not a whole number within the limits",
                           "Send frame=0 for the first frame of a DICOM object."),
    "query.unknown": Fault(400, "The query has a parameter that does not exist, or twice",
                           "Send only the parameters that /openapi.json shows."),
    "form.invalid": Fault(400, "The form is not valid",
                          "Send multipart/form-data with a boundary and one file a part."),
    "form.empty": Fault(400, "The form has no file", "Send each image as a part named `file`."),
    "form.field": Fault(400, "The form has a part that is not named `file`",
                        "Send each image as a part named `file`, and nothing else."),
    "name.invalid": Fault(400, "The name of a model is missing or not valid",
                          "Send {\"source\": NAME}, a name of letters, digits, `.`, `_` and `-`."),
    "token.missing": Fault(401, "The request has no valid token",
                           "Send the header `Authorization: Bearer TOKEN`."),
    "token.scope": Fault(403, "The token does not allow this", "Use a token with this scope."),
    "reload.off": Fault(403, "This service changes no models",
                        "Start it with --models and the folder of the models."),
    "route.unknown": Fault(404, "There is nothing at this address",
                           "See /openapi.json for the addresses."),
    "attention.absent": Fault(404, "This service cannot show what an exit looked at",
                              "Start it with --attention and the run of these weights."),
    "method.unknown": Fault(405, "This address does not take the method",
                            "See /openapi.json for the methods."),
    "body.late": Fault(408, "The body did not arrive in time",
                       "Send it again, or fewer images in one request."),
    "reload.busy": Fault(409, "Another model is being opened", "Try again when that has ended."),
    "body.too_large": Fault(413, "The body is too large", "Send fewer or smaller images."),
    "file.too_large": Fault(413, "An image file is too large", "Send a smaller file."),
    "form.too_many": Fault(413, "The request has too many files",
                           "Send fewer images in one request."),
    "type.unknown": Fault(415, "The content type is not supported",
                          "Send an image as image/jpeg, image/png or similar, or several as "
                          "multipart/form-data."),
    "image.empty": Fault(422, "The image has no bytes", "Send the image again."),
    "image.unknown": Fault(422, "The bytes are no image of a known format",
                           "Send JPEG, PNG, TIFF, BMP, WebP, GIF, JPEG 2000, PPM or DICOM."),
    "image.damaged": Fault(422, "The image is damaged or cut off",
                           "Send it again from its source."),
    "image.unsupported": Fault(422, "The image is of a kind that is not supported",
                               "Convert it to 8 or 16 bits, grey or RGB, as PNG or TIFF."),
    "image.animated": Fault(422, "The file holds several images",
                            "Send each frame as an image."),
    "image.frames": Fault(422, "The DICOM object holds several frames",
                          "Name one with ?frame=0, or use `endoexit predict --frames all`."),
    "image.no_frame": Fault(422, "The image has no such frame",
                            "Send a smaller frame; the first one is 0."),
    "image.too_large": Fault(422, "The image has too many pixels", "Send it scaled down."),
    "image.too_small": Fault(422, "The image is too small or too elongated",
                             "Send the original image."),
    "image.too_slow": Fault(422, "The image could not be decoded within time and memory",
                            "Convert it to an ordinary JPEG or PNG."),
    "image.no_answer": Fault(422, "The network has no answer for the image",
                             "Send another image, and report this one to whoever runs the "
                             "service."),
    "source.refused": Fault(422, "The model cannot be served; the one before stays",
                            "See the log of the service for the reason."),
    "source.too_large": Fault(422, "There is no memory for another model; the one before stays",
                              "Give the service more memory, or start it with the new model."),
    "full": Fault(429, "The service is full", "Send the request again after Retry-After seconds."),
    "client.share": Fault(429, "This client has its share of the service",
                          "Send the request again after Retry-After seconds."),
    "head.too_large": Fault(431, "The head of the request is too large", "Send fewer headers."),
    "failed": Fault(500, "The service failed", "See the log of the service."),
    "starting": Fault(503, "The service is starting", "Try again in a moment."),
    "draining": Fault(503, "The service is about to end", "Send the request to another one."),
    "dead": Fault(503, "The service has failed and is about to end",
                  "Send the request to another one."),
    "connections": Fault(503, "The service has too many connections", "Try again in a moment."),
    "deadline.missed": Fault(504, "No exit answered before the deadline",
                             "Allow more time with deadline_ms, or send fewer images."),
}  # fmt: skip


@dataclass
class Problem(Exception):  # noqa: N818  the name of RFC 9457
    """A request, or one image of it, that is refused.

    Attributes:
        code: Key of `FAULTS`.
        retry_after: Seconds after which it may be accepted; None where waiting does not help.
        limit: Limit that was broken, as a name and its value.
    """

    code: str
    retry_after: int | None = None
    limit: tuple[str, float] | None = None
    fault: Fault = field(init=False)

    def __post_init__(self) -> None:
        self.fault = FAULTS[self.code]
        super().__init__(self.code)

    @property
    def status(self) -> int:
        """Status of HTTP."""
        return self.fault.status

    def document(self) -> dict[str, Any]:
        """Return the fields of the problem."""
        fields: dict[str, Any] = {
            "type": f"urn:endoexit:problem:{self.code}",
            "title": self.fault.title,
            "status": self.status,
            "code": self.code,
            "remedy": self.fault.remedy,
        }
        if self.limit is not None:
            fields["limit"] = dict([self.limit])
        if self.retry_after is not None:
            fields["retry_after_s"] = self.retry_after
        return fields

    def body(self) -> bytes:
        """Return the problem as JSON."""
        return json.dumps(self.document()).encode()

    def headers(self) -> dict[str, str]:
        """Return the headers that belong to it."""
        headers = {"content-type": TYPE, "cache-control": "no-store"}
        if self.status == 401:
            headers["www-authenticate"] = "Bearer"
        if self.retry_after is not None:
            headers["retry-after"] = str(self.retry_after)
        return headers
