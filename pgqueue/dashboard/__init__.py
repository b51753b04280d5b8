"""A dashboard: one ASGI application that shows a store, and acts on it.

    from pgqueue.dashboard import Access, dashboard

    site = dashboard(app, authorize=lambda request: Access("ann") if is_staff(request) else None)
    web.mount("/queue", site)                       # Starlette, FastAPI; or `pgqueue dashboard`

Pages are whole HTML and forms are plain forms, so all of it works without JavaScript; a small
script keeps what is looked at up to date. Needs ``pip install 'pgqueue[dashboard]'``.
"""

from pgqueue.errors import installed

with installed("dashboard"):
    from pgqueue.dashboard.access import VERBS as VERBS
    from pgqueue.dashboard.access import Access as Access
    from pgqueue.dashboard.access import allow_all as allow_all
    from pgqueue.dashboard.routes import dashboard as dashboard
