"""The API's own errors: one exception, serialised in one place as `{id, message, request_id}`."""

from labkit.errors import LabkitError


class ApiError(LabkitError):
    """A request that the API refuses.

    Attributes:
        status: HTTP status.
        id: DigitalOcean's word for the kind of error, as `not_found`.
    """

    def __init__(self, status: int, error_id: str, message: str) -> None:
        super().__init__(message)
        self.status = status
        self.id = error_id

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


def too_many_requests() -> ApiError:
    """The hour's budget of requests is used up."""
    return ApiError(429, "too_many_requests", "API rate limit exceeded.")
