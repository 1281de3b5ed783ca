"""voting-svc: counts votes in memory. A vote for the doughnut always fails, as in v11."""

import asyncio
from collections import Counter
from collections.abc import Callable

from labkit.embedded.images.emojivoto import backend
from labkit.embedded.images.emojivoto.emojis import VOTE_METHODS
from labkit.embedded.images.emojivoto.emojivoto_pb2 import (
    ResultsRequest,
    ResultsResponse,
    VoteRequest,
    VoteResponse,
    VotingResult,
)
from labkit.embedded.images.runtime import log

_ALWAYS_FAILS = ":doughnut:"


class Poll:
    """The votes of this process; a restart forgets them."""

    def __init__(self) -> None:
        self._votes: Counter[str] = Counter()

    def vote_for(self, shortcode: str) -> Callable[[VoteRequest], VoteResponse]:
        """The method that counts a vote for one emoji."""

        def vote(_: VoteRequest) -> VoteResponse:
            if shortcode == _ALWAYS_FAILS:
                raise backend.Failure("ERROR")
            self._votes[shortcode] += 1
            log(f"Voted for [{shortcode}], which now has a total of [{self._votes[shortcode]}]")
            return VoteResponse()

        return vote

    def results(self, _: ResultsRequest) -> ResultsResponse:
        """All emoji with at least one vote, the most wanted first."""
        return ResultsResponse(
            results=[
                VotingResult(Shortcode=shortcode, Votes=votes)
                for shortcode, votes in self._votes.most_common()
            ]
        )

    def metrics(self) -> str:
        """The counter of votes in Prometheus' text format."""
        name = "emojivoto_votes_total"
        lines = [
            f"# HELP {name} Number of votes by emoji.",
            f"# TYPE {name} counter",
            *(f'{name}{{emoji="{code}"}} {n}' for code, n in sorted(self._votes.items())),
        ]
        return "\n".join([*lines, ""])


def main() -> None:
    """Run the server until SIGTERM."""
    poll = Poll()
    methods = {
        name: backend.Method(VoteRequest, poll.vote_for(shortcode))
        for shortcode, name in VOTE_METHODS.items()
    }
    methods["Results"] = backend.Method(ResultsRequest, poll.results)
    asyncio.run(backend.run("emojivoto.v1.VotingService", methods, metrics=poll.metrics))


if __name__ == "__main__":
    main()
