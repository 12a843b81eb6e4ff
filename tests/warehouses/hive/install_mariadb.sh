#!/usr/bin/env bash
# Installs MariaDB from Debian for the tests of metastore databases. Does nothing if it is there, and only warns if it
# cannot be installed: the tests are then skipped.
set -uo pipefail
if command -v mariadbd >/dev/null; then
    exit 0
fi
if [ "$(id -u)" -eq 0 ] && command -v apt-get >/dev/null; then
    export DEBIAN_FRONTEND=noninteractive
    apt-get update -qq && apt-get install -qq -y --no-install-recommends mariadb-server-core mariadb-client-core
fi
if ! command -v mariadbd >/dev/null; then
    echo "warning: mariadbd is not installed, so tests of metastores in MySQL and MariaDB are skipped" >&2
fi
exit 0
