import os
import threading
import time
from typing import Any

from django.apps import AppConfig
from django.utils.autoreload import autoreload_started


class DevConfig(AppConfig):
    name = "dev"

    def ready(self) -> None:
        autoreload_started.connect(end_with_parent)


def end_with_parent(**kwargs: Any) -> None:
    """End the development server when the process that started it is gone, even if that was killed."""
    parent = os.getppid()

    def watch() -> None:
        while os.getppid() == parent:
            time.sleep(1)
        os._exit(1)

    threading.Thread(target=watch, daemon=True).start()
