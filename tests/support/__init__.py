"""What the tests share: servers in their own processes, a plain client, and WSGI calls in this process."""
