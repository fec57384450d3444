"""The ways into the admin: through the OP and, in an emergency, by a password."""

import hashlib
import logging
import unicodedata
from datetime import timedelta

from django.conf import settings
from django.contrib import admin
from django.contrib.auth.views import redirect_to_login
from django.core.exceptions import PermissionDenied
from django.http import Http404, HttpRequest, HttpResponse, HttpResponseRedirect
from django.utils import timezone
from django.utils.http import url_has_allowed_host_and_scheme
from django.utils.translation import gettext as _
from django.views.decorators.cache import never_cache

from accounts.models import SignIn, User

logger = logging.getLogger(__name__)

PASSWORD_ATTEMPTS = 5
PASSWORD_WINDOW = timedelta(minutes=15)
PASSWORD_SESSION_SECONDS = 60 * 60


@never_cache
def admin_login(request: HttpRequest) -> HttpResponse:
    """Send to the OP in place of the admin's password form; 403 for those who are signed in but not staff.

    Raises `PermissionDenied` for them, because another login would bring them here again and again.
    """
    next_url = request.GET.get("next", "")
    if not url_has_allowed_host_and_scheme(next_url, {request.get_host()}, require_https=request.is_secure()):
        next_url = "/admin/"
    if not request.user.is_authenticated:
        return redirect_to_login(next_url)
    if not request.user.is_staff:
        raise PermissionDenied(_("You are signed in, but not as staff. Staff are made by groups at the OP."))
    return HttpResponseRedirect(next_url)


@never_cache
def break_glass(request: HttpRequest) -> HttpResponse:
    """The admin's own password form, for staff with a password while the OP is down.

    It exists where BREAK_GLASS_LOGIN is on; raises `Http404` elsewhere. Five wrong passwords for a name
    close it for that name for a quarter of an hour, in all processes. The session lasts an hour.
    """
    if not settings.BREAK_GLASS_LOGIN:
        raise Http404
    if request.method != "POST":
        return admin.site.login(request)
    # As the form reads it, so that no other spelling of a name gets attempts of its own.
    name = unicodedata.normalize("NFKC", request.POST.get("username", "").strip()).replace("\0", "")
    user = User.objects.filter(username=name).first()
    digest = hashlib.sha256(name.encode()).hexdigest()
    # Recorded before the password is looked at, so that attempts at the same time are counted too.
    attempt = SignIn.objects.create(user=user, by_password=True, refused="wrong_password", name_digest=digest)
    if _recent_attempts(digest) > PASSWORD_ATTEMPTS:
        attempt.delete()
        logger.warning("password login closed user=%s", user and user.pk)
        text = _("Too many wrong passwords. Wait a quarter of an hour.")
        return HttpResponse(text, status=429, content_type="text/plain; charset=utf-8")
    response = admin.site.login(request)
    if not isinstance(response, HttpResponseRedirect):
        logger.warning("password login refused user=%s", user and user.pk)
        return response
    attempt.delete()
    request.session.set_expiry(PASSWORD_SESSION_SECONDS)
    logger.warning("password login succeeded user=%s", request.user.pk)
    return response


def _recent_attempts(digest: str) -> int:
    since = timezone.now() - PASSWORD_WINDOW
    return SignIn.objects.filter(name_digest=digest, refused="wrong_password", at__gt=since).count()
