from django.conf import settings
from django.db import migrations, models
from django.db.models.deletion import CASCADE

USER = settings.AUTH_USER_MODEL
ID = ("id", models.BigAutoField(auto_created=True, primary_key=True, serialize=False, verbose_name="ID"))


class Migration(migrations.Migration):
    initial = True
    dependencies = [migrations.swappable_dependency(USER)]
    operations = [
        migrations.CreateModel("Identity", [
            ID,
            ("user", models.ForeignKey(USER, CASCADE, related_name="identities", verbose_name="user")),
            ("issuer", models.CharField("issuer", max_length=500)),
            ("subject", models.CharField("subject", max_length=255)),
            ("created", models.DateTimeField("created", auto_now_add=True)),
        ], {
            "verbose_name": "identity",
            "verbose_name_plural": "identities",
            "constraints": [models.UniqueConstraint(fields=["subject", "issuer"], name="oidc_one_user_per_subject")],
        }),
        migrations.CreateModel("LoginSession", [
            ID,
            ("session_key", models.CharField(max_length=40, unique=True)),
            ("issuer", models.CharField(max_length=500)),
            ("subject", models.CharField(max_length=255)),
            ("sid", models.CharField(max_length=255, blank=True)),
            ("began", models.DateTimeField(auto_now_add=True, db_index=True)),
            ("refresh_token", models.TextField(blank=True, editable=False)),
            ("paused_until", models.DateTimeField(null=True, editable=False)),
        ], {
            "indexes": [
                models.Index(fields=["subject", "issuer"], name="oidc_session_subject"),
                models.Index(fields=["sid"], name="oidc_session_sid"),
            ],
        }),
        migrations.CreateModel("SignIn", [
            ID,
            ("user", models.ForeignKey(USER, CASCADE, related_name="sign_ins", null=True, verbose_name="user")),
            ("at", models.DateTimeField("at", auto_now_add=True, db_index=True)),
            ("by_password", models.BooleanField("by password", default=False)),
            ("name_digest", models.CharField(max_length=64, blank=True, db_index=True, editable=False)),
            ("refused", models.CharField("refused", max_length=50, blank=True)),
        ], {"verbose_name": "login", "verbose_name_plural": "logins"}),
        migrations.CreateModel("SpentToken", [
            ("digest", models.CharField(max_length=64, primary_key=True, serialize=False)),
            ("subject", models.CharField(max_length=255, blank=True)),
            ("sid", models.CharField(max_length=255, blank=True)),
            ("at", models.DateTimeField(auto_now_add=True, db_index=True)),
            ("expires", models.DateTimeField(db_index=True)),
        ]),
    ]
