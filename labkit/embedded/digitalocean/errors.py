"""The API's own errors: one exception, serialised in one place as `{id, message, request_id}`."""

from labkit.errors import LabkitError


class ApiError(LabkitError):
    """A request that the API refuses.

    Attributes:
        status: HTTP status.
        id: DigitalOcean's word for the kind of error, as `not_found`.
        retry_after_s: when to try again, for a 429; None where the budget itself decides.
    """

    def __init__(
        self, status: int, error_id: str, message: str, *, retry_after_s: float | None = None
    ) -> None:
        super().__init__(message)
        self.status = status
        self.id = error_id
        self.retry_after_s = retry_after_s

    def body(self, request_id: str) -> dict[str, str]:
        """Return the JSON body."""
        return {"id": self.id, "message": self.what, "request_id": request_id}


def unauthorized() -> ApiError:
    """The token is missing or wrong."""
    return ApiError(401, "unauthorized", "Unable to authenticate you.")


def not_found() -> ApiError:
    """There is no such resource."""
    return ApiError(404, "not_found", "The resource you were accessing could not be found.")


def conflict(message: str) -> ApiError:
    """The resource's state does not permit this now."""
    return ApiError(409, "conflict", message)


def unprocessable(message: str) -> ApiError:
    """The request was understood and does not fit."""
    return ApiError(422, "unprocessable_entity", message)


def bad_request(message: str) -> ApiError:
    """The request could not be understood."""
    return ApiError(400, "bad_request", message)


def too_many_requests(*, retry_after_s: float | None = None) -> ApiError:
    """The budget of requests is used up."""
    return ApiError(
        429, "too_many_requests", "API rate limit exceeded.", retry_after_s=retry_after_s
    )


def server_trouble(status: int) -> ApiError:
    """The service is in trouble: 500, 502 or 503."""
    words = {
        500: ("server_error", "Unexpected server-side error"),
        502: ("bad_gateway", "The upstream service did not answer."),
        503: ("service_unavailable", "The service is not available now."),
    }
    return ApiError(status, *words[status])
