#!/bin/sh
# Makes the roles of recorder, API and reports when the database server is set up for the first time.
# What each may do is granted by `recorder db grants`, once the tables are there.
set -eu
psql --no-psqlrc --set ON_ERROR_STOP=1 --username "$POSTGRES_USER" --dbname "$POSTGRES_DB" <<'SQL'
\getenv recorder RECORDER_DB_PASSWORD
\getenv api API_DB_PASSWORD
CREATE ROLE recorder LOGIN PASSWORD :'recorder';
CREATE ROLE recorder_api LOGIN PASSWORD :'api';
CREATE ROLE recorder_reporting NOLOGIN;
SQL
