"""Addresses of the demo shop: what is well written, what is not, what is slow, and what writes."""

from django.contrib.auth.views import LoginView, LogoutView
from django.urls import path

from shop.views import bad, good, slow, writes

urlpatterns = [
    path("", good.home, name="home"),
    path("books/", good.books, name="books"),
    path("books/best/", good.best_books, name="best-books"),
    path("books/<int:pk>/", good.book, name="book"),
    path("authors/", good.authors, name="authors"),
    path("orders/", good.orders, name="orders"),
    path("account/", good.account, name="account"),
    path("login/", LoginView.as_view(template_name="shop/login.html"), name="login"),
    path("logout/", LogoutView.as_view(), name="logout"),
    # The same pages as above, with the same templates, but without the line that loads what the template needs.
    path("bad/books/", bad.books, name="bad-books"),
    path("bad/authors/", bad.authors, name="bad-authors"),
    path("bad/tags/", bad.tags, name="bad-tags"),
    path("bad/counts/", bad.counts, name="bad-counts"),
    path("bad/stock/", bad.stock, name="bad-stock"),
    path("bad/descriptions/", bad.descriptions, name="bad-descriptions"),
    path("bad/basket/", bad.basket, name="bad-basket"),
    path("search/", slow.search, name="search"),
    path("reports/sales/", slow.sales, name="sales"),
    path("reports/rivals/", slow.rivals, name="rivals"),
    path("reports/warehouse/", slow.warehouse, name="warehouse"),
    path("export/orders.csv", slow.export_orders, name="export-orders"),
    path("checkout/", writes.checkout, name="checkout"),
    path("import/", writes.import_reviews, name="import-reviews"),
    path("prices/", writes.raise_prices, name="raise-prices"),
    path("bad/prices/", bad.raise_prices, name="bad-raise-prices"),
    path("vouchers/redeem/", writes.redeem, name="redeem"),
]
