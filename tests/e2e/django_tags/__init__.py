"""A site of a few pages with django_pgprism's middleware, served through WSGI and ASGI: what its queries carry."""
