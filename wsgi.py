"""The application as a web server finds it: wsgi:app."""

from booking import create_app

app = create_app()
