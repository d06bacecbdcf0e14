"""The smallest Flask application."""

from flask import Flask

app = Flask("bench")


@app.route("/")
def index():
    return "Hello, World!"
