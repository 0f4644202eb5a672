"""Runs the project in the working folder with Django's own server: django_project.py PORT. The session is a header."""

import os
import sys
from collections.abc import Callable
from pathlib import Path
from types import SimpleNamespace

import django
from django.core.management import call_command
from django.http import HttpRequest, HttpResponse

SETTINGS = """
MIDDLEWARE = ["django.middleware.common.CommonMiddleware", "__main__.sign_in"]
ROOT_URLCONF = "urls"
SECRET_KEY = "of the tests"
ALLOWED_HOSTS = ["127.0.0.1"]
"""


def sign_in(get_response: Callable[[HttpRequest], HttpResponse]) -> Callable[[HttpRequest], HttpResponse]:
    """Sign in the user of the header."""

    def answer(request: HttpRequest) -> HttpResponse:
        user = request.headers.get("X-User")
        request.user = SimpleNamespace(pk=user, is_authenticated=user is not None)
        return get_response(request)

    return answer


if __name__ == "__main__":
    settings = Path("settings.py")
    settings.write_text(SETTINGS + settings.read_text())
    sys.path.insert(0, str(Path.cwd()))
    os.environ["DJANGO_SETTINGS_MODULE"] = "settings"
    django.setup()
    call_command("runserver", f"127.0.0.1:{sys.argv[1]}", use_reloader=False, skip_checks=True)
