"""What the transcript's images do: one line for each HTTP request, and a few lines of log.

Only one `tick` is written: how many there are would depend on when somebody looks.
"""

import json
import os
import sys
import threading
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path

TOKEN = "var/run/secrets/kubernetes.io/serviceaccount/token"


class Handler(BaseHTTPRequestHandler):
    def do_GET(self):
        body = f"hello {os.environ['HOSTNAME']} {self.client_address[0]}\n".encode()
        self.send_response(200)
        self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        self.wfile.write(body)

    def log_message(self, *words):
        pass


def log(line):
    sys.stdout.write(f"{line}\n")
    sys.stdout.flush()


if __name__ == "__main__":
    host, _, port = json.loads(os.environ["LABKIT_LISTEN"])["8080"].rpartition(":")
    server = ThreadingHTTPServer((host, int(port)), Handler)
    log("listening on 8080")
    log(f"token readable: {str((Path(os.environ['LABKIT_ROOT']) / TOKEN).is_file()).lower()}")
    threading.Timer(1, log, ["tick"]).start()
    server.serve_forever()
