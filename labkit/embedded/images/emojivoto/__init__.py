"""emojivoto v11, written anew: web, emoji-svc, voting-svc and vote-bot with the same wire."""
