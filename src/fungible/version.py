"""The version of this program, said once: on the command line, and to providers as `user-agent`."""

VERSION = "0.1.0"
