"""Break-glass: the admin's own password form, for the day on which the OP is down."""

import hashlib
import logging
import unicodedata
from datetime import timedelta

from django.contrib import admin
from django.contrib.auth import get_user_model
from django.contrib.auth.models import AnonymousUser
from django.http import Http404, HttpRequest, HttpResponse, HttpResponseRedirect
from django.utils import timezone
from django.utils.translation import gettext as _
from django.views.decorators.cache import never_cache

from oidc.internal import session
from oidc.internal.conf import conf
from oidc.models import SignIn

logger = logging.getLogger(__name__)

MAX_ATTEMPTS = 5
WINDOW = timedelta(minutes=15)
SESSION_SECONDS = 60 * 60


@never_cache
def break_glass(request: HttpRequest) -> HttpResponse:
    """Log staff in who have a password, where BREAK_GLASS_LOGIN is on; raises `Http404` elsewhere.

    Five wrong passwords for a name close the form for that name for a quarter of an hour, in all processes. The
    session lasts an hour.
    """
    if not conf.BREAK_GLASS_LOGIN:
        raise Http404
    if request.method != "POST":
        # Who is logged in by the OP needs the form too: the OP cannot renew that session.
        request.user = AnonymousUser()
        return admin.site.login(request)
    # As the form reads it, so that no other spelling of a name gets attempts of its own.
    name = unicodedata.normalize("NFKC", request.POST.get("username", "").strip()).replace("\0", "")
    model = get_user_model()
    user = model._default_manager.filter(**{model.USERNAME_FIELD: name}).first()
    digest = hashlib.sha256(name.encode(errors="surrogatepass")).hexdigest()
    # Recorded before the password is looked at, so that attempts at the same time are counted too.
    attempt = SignIn.objects.create(user=user, by_password=True, refused="wrong_password", name_digest=digest)
    recent = SignIn.objects.filter(name_digest=digest, refused="wrong_password", at__gt=timezone.now() - WINDOW)
    if recent.count() > MAX_ATTEMPTS:
        attempt.delete()
        logger.warning("password login closed user=%s", user and user.pk)
        text = _("Too many wrong passwords. Wait a quarter of an hour.")
        return HttpResponse(text, status=429, content_type="text/plain; charset=utf-8")
    former_key = request.session.session_key
    response: HttpResponse = admin.site.login(request)
    if isinstance(response, HttpResponseRedirect):
        attempt.delete()
        session.forget(former_key)
        session.release(request.session)
        request.session.set_expiry(SESSION_SECONDS)
        logger.warning("password login succeeded user=%s", request.user.pk)
    else:
        logger.warning("password login refused user=%s", user and user.pk)
    return response
