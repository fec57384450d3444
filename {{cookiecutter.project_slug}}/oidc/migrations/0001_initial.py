from django.db import migrations, models


class Migration(migrations.Migration):

    initial = True

    dependencies = [
    ]

    operations = [
        migrations.CreateModel(
            name='SpentToken',
            fields=[
                ('digest', models.CharField(max_length=64, primary_key=True, serialize=False)),
                ('expires', models.DateTimeField(db_index=True)),
            ],
        ),
        migrations.CreateModel(
            name='LoginSession',
            fields=[
                ('id', models.BigAutoField(auto_created=True, primary_key=True, serialize=False, verbose_name='ID')),
                ('session_key', models.CharField(max_length=40, unique=True, verbose_name='session key')),
                ('issuer', models.CharField(max_length=500, verbose_name='issuer')),
                ('subject', models.CharField(max_length=255, verbose_name='subject')),
                ('sid', models.CharField(blank=True, max_length=255, verbose_name='session at the OP')),
                ('began', models.DateTimeField(auto_now_add=True, db_index=True, verbose_name='began')),
                ('refresh_token', models.TextField(blank=True, editable=False, verbose_name='refresh token')),
                ('refreshing_until', models.DateTimeField(editable=False, null=True)),
            ],
            options={
                'verbose_name': 'login session',
                'verbose_name_plural': 'login sessions',
                'indexes': [models.Index(fields=['subject', 'issuer'], name='oidc_session_subject'), models.Index(fields=['sid'], name='oidc_session_sid')],
            },
        ),
    ]
