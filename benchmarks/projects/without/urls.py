from config.urls import handler400, handler403, handler404, handler500, urlpatterns  # noqa: F401
from django.urls import path
from plain.urls import log_in

urlpatterns = [*urlpatterns, path("log-in/", log_in)]
