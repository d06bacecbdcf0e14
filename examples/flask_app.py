"""A Flask application with a layer around it. Its id reaches the view through environ.

onionskin serve examples/flask_app.py
"""

from flask import Flask, request

from onionskin import RequestId

app = Flask(__name__)


@app.get("/")
def index():
    return {"hello": "from Flask", "request": request.environ["onionskin.request_id"]}


# Around Flask's own WSGI callable: `app` stays the Flask object that its tools expect.
app.wsgi_app = RequestId(app.wsgi_app)

# Served is the onion itself, so that the layer runs natively.
application = app.wsgi_app
