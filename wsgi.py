"""The application as a web server finds it: wsgi:app."""

import gc

from booking import create_app

app = create_app()

# What is there now stays. To look through all of it for circles again and again would take a fifth of each answer.
gc.collect()
gc.freeze()
gc.set_threshold(50_000, 20, 100)
