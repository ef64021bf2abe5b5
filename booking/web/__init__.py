"""The edge: parse, call one operation, commit, answer."""

from flask import Flask

from booking.config import Settings


def install(app: Flask, settings: Settings) -> None:
    pass
