from plain.urls import log_in
from config.urls import handler400, handler403, handler404, handler500, urlpatterns  # noqa: F401
from django.urls import path

urlpatterns = [*urlpatterns, path("log-in/", log_in)]
