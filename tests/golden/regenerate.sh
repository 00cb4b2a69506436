#!/bin/sh
# Write the golden files anew: tests/golden/regenerate.sh
# Needs Debian's python3-torch, which it installs when it is missing.
set -eu
cd "$(dirname "$0")"
. ../../jobs/install.sh
/usr/bin/python3 -c 'import torch' 2>/dev/null || install_packages python3-torch
/usr/bin/python3 reference.py
