"""Runs the project in the working folder with Django's own server: django_project.py PORT."""

import os
import sys
from pathlib import Path

import django
from django.core.management import call_command

SETTINGS = """
DATABASES = {"default": {"ENGINE": "django.db.backends.sqlite3", "NAME": "db.sqlite3"}}
INSTALLED_APPS = ["billing"]
MIDDLEWARE = ["django.middleware.common.CommonMiddleware", "django.middleware.csrf.CsrfViewMiddleware"]
ROOT_URLCONF = "urls"
SECRET_KEY = "of the tests"
ALLOWED_HOSTS = ["127.0.0.1"]
"""

if __name__ == "__main__":
    settings = Path("settings.py")
    settings.write_text(SETTINGS + settings.read_text())
    sys.path.insert(0, str(Path.cwd()))
    os.environ["DJANGO_SETTINGS_MODULE"] = "settings"
    django.setup()
    call_command("migrate", run_syncdb=True, verbosity=0)
    call_command("runserver", f"127.0.0.1:{sys.argv[1]}", use_reloader=False)
