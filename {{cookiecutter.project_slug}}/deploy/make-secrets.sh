#!/bin/sh
# Makes the secrets of compose.yaml in deploy/secrets, which git ignores. Those that are there stay as they are.
set -eu
# Readable for the users inside the containers; the folder keeps others out.
mkdir -p -m 700 "$(dirname "$0")/secrets"
cd "$(dirname "$0")/secrets"
for name in secret_key database_password client_secret keycloak_admin; do
  [ -e "$name" ] || openssl rand -hex 32 >"$name"
done
[ -e database_url ] || echo "postgres://site:$(cat database_password)@database:5432/site" >database_url
[ -e tls_key ] || openssl req -x509 -newkey rsa:2048 -noenc -days 365 -keyout tls_key -out tls_certificate \
  -subj "/CN=site.localhost" -addext "subjectAltName=DNS:site.localhost,DNS:login.localhost,DNS:localhost"
chmod 644 ./*
