"""emoji-svc: lists the emoji and finds one by its shortcode."""

import asyncio

from labkit.embedded.images.emojivoto import backend
from labkit.embedded.images.emojivoto.emojis import LISTED
from labkit.embedded.images.emojivoto.emojivoto_pb2 import (
    Emoji,
    FindByShortcodeRequest,
    FindByShortcodeResponse,
    ListAllEmojiRequest,
    ListAllEmojiResponse,
)

_ALL = ListAllEmojiResponse(
    list=[Emoji(unicode=character, shortcode=code) for code, character in LISTED.items()]
)


def list_all(_: ListAllEmojiRequest) -> ListAllEmojiResponse:
    """All 99 emoji."""
    return _ALL


def find_by_shortcode(request: FindByShortcodeRequest) -> FindByShortcodeResponse:
    """The emoji of a shortcode; an empty answer when there is none."""
    character = LISTED.get(request.Shortcode)
    if character is None:
        return FindByShortcodeResponse()
    return FindByShortcodeResponse(emoji=Emoji(unicode=character, shortcode=request.Shortcode))


METHODS = {
    "ListAll": backend.Method(ListAllEmojiRequest, list_all),
    "FindByShortcode": backend.Method(FindByShortcodeRequest, find_by_shortcode),
}


def main() -> None:
    """Run the server until SIGTERM."""
    asyncio.run(backend.run("emojivoto.v1.EmojiService", METHODS))


if __name__ == "__main__":
    main()
