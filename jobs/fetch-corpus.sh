#!/bin/sh
# Fetch the text that the study files here train on: the GNU Collaborative International Dictionary of
# English, 13 MB compressed, from Debian's package dict-gcide, which is unpacked and not installed.
#
#     jobs/fetch-corpus.sh [DIR]     puts gcide.dict.dz into DIR (data/ of this folder's parent)
#
# Does nothing when the file is there. The file appears whole or not at all.
set -eu

case ${1:-} in
-h | --help)
    echo "usage: jobs/fetch-corpus.sh [DIR]    fetch gcide.dict.dz into DIR (default: data/)"
    exit 0
    ;;
esac
folder=${1:-$(cd "$(dirname "$0")/.." && pwd)/data}
name=gcide.dict.dz
if [ -s "$folder/$name" ]; then
    exit 0
fi

elsewhere() {
    cat >&2 <<END
fetch-corpus: $1
fetch-corpus: The text comes from Debian's package dict-gcide: on any machine with Debian or Ubuntu run
fetch-corpus:   apt-get download dict-gcide && dpkg-deb -x dict-gcide_*.deb unpacked
fetch-corpus: and copy unpacked/usr/share/dictd/$name to $folder/.
fetch-corpus: Or name text files of your own (plain or gzip) in the study file, under data: files:.
END
    exit 1
}

command -v apt-get >/dev/null 2>&1 || elsewhere "there is no apt-get here"
command -v dpkg-deb >/dev/null 2>&1 || elsewhere "there is no dpkg-deb here"

mkdir -p "$folder"
folder=$(cd "$folder" && pwd)
work=$(mktemp -d "$folder/.fetch.XXXXXX")
trap 'rm -rf "$work"' EXIT
trap 'exit 1' HUP INT TERM

# The package lists may be missing (a fresh machine) or older than the archive: update once.
download() {
    (cd "$work" && apt-get -qq -o Acquire::Retries=3 -o APT::Sandbox::User=root download dict-gcide \
        </dev/null)
}
if ! download 2>/dev/null; then
    # shellcheck source=jobs/install.sh
    . "$(dirname "$0")/install.sh"
    apt_get update >&2 || elsewhere "apt-get update failed"
    download || elsewhere "apt-get download dict-gcide failed"
fi
dpkg-deb -x "$work"/dict-gcide_*.deb "$work/unpacked"
gzip -t <"$work/unpacked/usr/share/dictd/$name" || elsewhere "the package's $name is damaged"
sync "$work/unpacked/usr/share/dictd/$name"
mv "$work/unpacked/usr/share/dictd/$name" "$folder/$name"
echo "fetch-corpus: $folder/$name" >&2
