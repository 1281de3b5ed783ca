"""The images of the transcript, as a package that is installed beside labkit would bring them."""

from labkit.embedded.images.catalog import Image, Program

SERVER = Image({"": Program("process", "lab_server")}, has_shell=True, exposed_ports=(8080,))
